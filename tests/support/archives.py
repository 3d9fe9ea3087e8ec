"""Tiny archives in the layouts of the real sources, with made-up content."""

import io
import json
import tarfile

import cv2
import numpy as np

from netchu.data.line_table import Line, write_table


def photo(seed, colour=False, extension=".jpg"):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (20, 60, 3) if colour else (20, 60), dtype=np.uint8)
    return cv2.imencode(extension, pixels)[1].tobytes()


def pack(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz" if path.suffix == ".xz" else "w") as archive:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def kalapa(folder, writers=("1", "2"), top="training_data", **changes):
    """Three photos of each writer; `changes` replace or (None) remove files by path."""
    files = {}
    for writer in writers:
        rows = [f"{writer}/{n}.jpg\tXã Tân {writer}{n}" for n in range(3)]
        files[f"{top}/annotations/{writer}.txt"] = "\n".join(rows) + "\n"
        for n in range(3):
            files[f"{top}/images/{writer}/{n}.jpg"] = photo(100 * int(writer) + n)
    files |= changes.get("changes", {})
    pack(folder / "kalapa.tar", {name: c for name, c in files.items() if c is not None})


def cinnamon(folder, train=("./0916_Data Samples 2", "labels.json"),
             test=("./1015_Private Test", "labels.json"), extension=".jpg"):  # fmt: skip
    files = {}
    for part, (where, labels) in enumerate((train, test)):
        names = [f"{n:04d}_samples{extension}" for n in range(4)]
        texts = {name: f"Số {part}{n}, Hà Nội" for n, name in enumerate(names)}
        files |= {f"{where}/{n}": photo(1000 + 10 * part + i, extension=extension)
                  for i, n in enumerate(names)}  # fmt: skip
        files[f"{where}/{labels}"] = json.dumps(texts, ensure_ascii=False)
    pack(folder / "cinnamon.tar", files)


def trace(*points):
    return "<trace>" + ",".join(f"{x} {y}" for x, y in points) + "</trace>"


def group(name, text, *traces):
    return (f'<traceGroup id="{name}"><annotationXML><Tg_Truth>{text}</Tg_Truth></annotationXML>'
            + "".join(traces) + "</traceGroup>")  # fmt: skip


def inkml(writer, *groups):
    return (f"<?xml version='1.0' encoding='utf-8'?><ink><annotationXML><Writer_ID>{writer}"
            f"</Writer_ID></annotationXML>{''.join(groups)}</ink>")  # fmt: skip


def vnondb(folder, writers=("id_1", "id_2"), extra=None):
    """A session of each writer: two words that make one line that makes one paragraph."""
    files = {}
    for place, writer in enumerate(writers):
        tall = trace((0, 0), (100 + place, 900), (300, 1200))
        low = trace((2000, 700), (2300, 1000 + place), (2600, 700))
        dot = trace((2700, 1190))
        session = f"20140101_{place}_X.inkml"
        words = [group("tg_0_0_0", "Lê", tall), group("tg_0_0_1", "xu", low, dot)]
        files[f"InkData_word/{session}"] = inkml(writer, *words)
        files[f"InkData_paragraph/{session}"] = inkml(
            writer, group("tg_0", "Lê xu", tall, low, dot)
        )
        files[f"InkData_line/{session}"] = inkml(writer, group("tg_0_0", "Lê xu", tall, low, dot))
    pack(folder / "vnondb.tar.xz", files | (extra or {}))


def uit_hwdb_files(top=""):
    """Word, line and paragraph of two training writers and a testing one, by path."""
    texts = {"word": "Lê", "line": "Lê xu", "paragraph": "Lê xu bạc"}
    files = {}
    for writer, part in ((1, "train"), (2, "train"), (250, "test")):
        for place, (level, text) in enumerate(texts.items()):
            folder = f"{top}UIT_HWDB_{level}/{part}_data/{writer}"
            files[f"{folder}/1.jpg"] = photo(10 * writer + place, colour=True)
            files[f"{folder}/label.json"] = json.dumps({"1.jpg": text}, ensure_ascii=False)
    return files


def uit_hwdb(folder, top=""):
    pack(folder / "uit_hwdb.tar", uit_hwdb_files(top))


def unpack(folder, files):
    """Write the files as they would lie after unpacking."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def csv(folder, rows=None, header="image,label,writer"):
    """A table `english.csv` with its images beside it; `rows` replace its rows."""
    rows = ['Img/0.png,"Lê xu, bạc",an', "Img/1.png,Lê,an", "Img/2.jpg,xu,bình"] if rows is None \
        else rows  # fmt: skip
    files = {f"Img/{n}.{kind}": photo(n, extension=f".{kind}")
             for n, kind in enumerate(("png", "png", "jpg"))}  # fmt: skip
    unpack(folder, files | {"english.csv": "\n".join([header, *rows]) + "\n"})


ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description>
<sourceImageInformation><fileName>{image}</fileName></sourceImageInformation></Description>
<Layout><Page WIDTH="{width}" HEIGHT="{height}"><PrintSpace><TextBlock>{lines}</TextBlock>
</PrintSpace></Page></Layout></alto>"""
ALTO_LINE = """<TextLine ID="l" HPOS="{0}" VPOS="{1}" WIDTH="{2}" HEIGHT="{3}">
<String CONTENT="Lê"/><SP/><String CONTENT="xu"/></TextLine>"""


def alto(folder, lines=None, image="1.jpg", width=60, height=20):
    """Two documents with three lines, and their images."""
    lines = [ALTO_LINE.format(0, 7 * n, 60, 6) for n in range(3)] if lines is None else lines
    names = {"image": image, "width": width, "height": height}
    document = ALTO.format(lines="".join(lines), **names)
    unpack(folder, {"1.xml": document, "deep/2.xml": document, "1.jpg": photo(1),
                    "deep/1.jpg": photo(2), "mets.xml": "<mets/>"})  # fmt: skip


PAGE = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="{image}" imageWidth="60" imageHeight="20"><TextRegion>{lines}</TextRegion>
</Page></PcGts>"""
PAGE_LINE = """<TextLine id="l"><Coords points="{0}"/>
<TextEquiv index="1"><Unicode>other</Unicode></TextEquiv>
<TextEquiv index="0"><Unicode>Lê xu</Unicode></TextEquiv></TextLine>"""


def page(folder, lines=None, image="1.jpg"):
    """A document with three lines, and its image."""
    boxes = [f"0,{y} 59,{y} 59,{y + 6} 0,{y + 6}" for y in (0, 7, 13)]
    lines = [PAGE_LINE.format(box) for box in boxes] if lines is None else lines
    document = PAGE.format(image=image, lines="".join(lines))
    unpack(folder, {"page/1.xml": document, "page/1.jpg": photo(1)})


def synthetic(folder):
    lines = [Line(f"made-{n}", photo(n), "lê xu", f"font {n}", "made", "line", "train", 60, 20)
             for n in range(3)]  # fmt: skip
    write_table(lines, folder)


def vietnam_dataset(folder):
    ward = {"name": "Cống Vị", "pre": "Phường"}
    district = {"name": "Ba Đình", "pre": "Quận", "street": ["An Xá"], "ward": [ward]}
    place = {"code": "HN", "name": "Hà Nội", "district": [district]}
    pack(folder / "vietnam_dataset.tar.xz", {"data/HN.json": json.dumps(place)})


def truyen_kieu(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truyen_kieu.txt").write_text("Trăm năm trong cõi người ta\n", encoding="utf-8")


def vi_news(folder, articles=None):
    articles = articles or {"vn_news/data/1.txt": "Hôm nay trời rất đẹp. Mai mưa to lắm nhé.\n"}
    pack(folder / "vi_news.tar.xz", articles)


def vi_wikipedia(folder, articles=None):
    articles = articles or {"viwiki/.vn.txt": "Việt Nam là một nước ở Đông Nam Á.\n"}
    pack(folder / "vi_wikipedia.tar.xz", articles)


FORM_LISTS = {
    "forms/forms_given_names.txt": "Anh Khoa\nMinh Thư\n",
    "forms/forms_units_2025.txt": "Phường Ba Đình, Thành phố Hà Nội\nXã Yên Mỹ, Tỉnh Hưng Yên\n"
    "Đặc khu Côn Đảo, Thành phố Hồ Chí Minh\n",
    "forms/forms_addresses_post.txt": "66 Lương Văn Can, Hoàn Kiếm, Hà Nội\n",
    "forms/forms_schools.txt": "Trường Đại học Hoa Sen\n",
}
FORM_FILES = {
    "boy.txt": "Anh Khoa\n",
    "girl.txt": "Minh Thư\nAnh Khoa\n",
    "units.json": json.dumps([
        {"Code": "01", "FullName": "Thành phố Hà Nội", "Wards": [{"FullName": "Phường Ba Đình"}]},
        {"Code": "33", "FullName": "Tỉnh Hưng Yên", "Wards": [{"FullName": "Xã Yên Mỹ"}]},
        {"Code": "79", "FullName": "Thành phố Hồ Chí Minh",
         "Wards": [{"FullName": "Đặc khu Côn Đảo"}]},
    ]),
    "post_offices.tsx": "export default [\n {\n id: 7,\n name: \"A\",\n province: \"Hà Nội\",\n"
    ' district: "Hoàn Kiếm",\n ward: "Hàng Trống",\n detailAddress: "66 Lương Văn Can",\n },\n]',
    "schools.sql": "INSERT INTO u (name, place) VALUES\n('Trường Đại học Hoa Sen', 'Quận 1'),\n",
}  # fmt: skip
"""The lists of the mirror and the files of upstream, with the same content."""


def vi_forms(folder, files=None):
    pack(folder / "vi_forms.tar.xz", files or FORM_LISTS)


BUILDERS = {
    "kalapa": kalapa,
    "cinnamon": cinnamon,
    "vnondb": vnondb,
    "uit_hwdb": uit_hwdb,
    "csv": csv,
    "alto": alto,
    "page": page,
    "synthetic": synthetic,
    "vietnam_dataset": vietnam_dataset,
    "truyen_kieu": truyen_kieu,
    "vi_news": vi_news,
    "vi_wikipedia": vi_wikipedia,
    "vi_forms": vi_forms,
}
"""Source -> what fills a folder with a tiny copy of it, in its own format."""
