"""Segmentation of photos into lines of handwriting, with OpenCV and NumPy only.

`ink` binarises and levels the photo, `text_lines` finds the lines, `components` assigns every
connected component of ink to its line, and `line_boxes` turns lines into boxes and crops.
"""
