"""Grey images: decoding, geometry, preparation for a network, augmentation."""
