// All texts of the page, in two languages.

const WORDS = {
  vi: {
    skip: "Tới nút Đọc",
    language: "Ngôn ngữ",
    lead: "Đưa vào một ảnh chữ viết tay tiếng Việt, hoặc viết ngay tại đây. netchu đọc và cho biết chữ nào chưa chắc.",
    paper: "Ảnh để đọc",
    getImages: "Lấy ảnh mẫu",
    choose: "Chọn ảnh…",
    photograph: "Chụp ảnh",
    write: "Viết tay",
    hint: "Hoặc thả ảnh vào đây, hoặc dán bằng Ctrl+V.",
    canvas: "Khung để viết bằng chuột, ngón tay hoặc bút",
    undo: "Lùi một nét",
    clear: "Xóa hết",
    leave: "Đóng khung",
    predict: "Đọc",
    model: "Mô hình",
    compare: "So với",
    nothing: "không so",
    images: "Ảnh và chữ đọc được",
    key: "Khóa API",
    unlock: "Mở",
    privacy: "Ảnh chỉ được máy chủ này đọc rồi bỏ, không gửi đi đâu khác.",
    collecting: "Chữ bạn sửa và lưu sẽ được giữ lại cùng ảnh dòng đó để huấn luyện.",
    api: "API cho lập trình viên",
    reading: "Đang đọc…",
    loading: "Đang lấy ảnh…",
    ready: (n) => `${n} ảnh, sẵn sàng đọc`,
    done: (n, ms) => `Đã đọc ${n} ảnh trong ${ms} ms`,
    someFailed: (n) => `${n} ảnh không đọc được`,
    image: (n) => `Ảnh ${n}`,
    written: "Chữ bạn viết",
    readBy: (m) => `${m} đọc`,
    whole: (p) => `đúng cả dòng: ${p}`,
    unsure: (n) => (n ? `${n} ký tự chưa chắc` : "chắc mọi ký tự"),
    lines: (n) => `${n} dòng`,
    copy: "Chép",
    copied: "Đã chép",
    correct: "Sửa",
    correctLabel: "Chữ đúng của dòng này",
    save: "Lưu",
    cancel: "Thôi",
    saved: (n) => `Đã lưu. Tất cả ${n} dòng.`,
    blank: "Không thấy chữ nào.",
    unread: (n) => `${n} chỗ có mực chưa đọc được. Hãy cắt riêng chỗ đó rồi đọc lại.`,
    letter: (c, p, others) => `${c}, ${p}${others ? `; có thể là ${others}` : ""}`,
    space: "dấu cách",
    noImages: "Chưa có ảnh. Hãy lấy ảnh mẫu, chọn một ảnh hoặc viết tay.",
    noStroke: "Khung còn trống. Hãy viết vài chữ.",
    badImage: "Đây không phải ảnh, hoặc ảnh bị hỏng. Hãy lưu lại dạng JPEG hay PNG.",
    tooLarge: "Ảnh quá lớn. Hãy thu nhỏ rồi thử lại.",
    busy: "Máy chủ đang bận. Hãy thử lại sau giây lát.",
    gone: "Không liên lạc được với máy chủ. Hãy khởi động lại netchu serve rồi thử lại.",
    slow: "Đọc quá lâu. Hãy thử ảnh nhỏ hơn.",
    locked: "Máy chủ này cần khóa API.",
    notSaved: "Không lưu được chữ sửa. Hãy xem lại chữ và thử lại.",
    broken: "Có lỗi ở máy chủ. Hãy thử lại.",
  },
  en: {
    skip: "To the Predict button",
    language: "Language",
    lead: "Give a photo of Vietnamese handwriting, or write right here. netchu reads it and says which letters it doubts.",
    paper: "Images to read",
    getImages: "Get images",
    choose: "Choose a photo…",
    photograph: "Photograph",
    write: "Write",
    hint: "Or drop a photo here, or paste one with Ctrl+V.",
    canvas: "A sheet to write on with mouse, finger or pen",
    undo: "Undo",
    clear: "Clear",
    leave: "Close the sheet",
    predict: "Predict",
    model: "Model",
    compare: "Compare with",
    nothing: "nothing",
    images: "Images and what was read",
    key: "API key",
    unlock: "Unlock",
    privacy: "Images are read by this server and forgotten; they go nowhere else.",
    collecting: "Lines you correct and save are kept, with their image, to train with.",
    api: "API for developers",
    reading: "Reading…",
    loading: "Getting images…",
    ready: (n) => (n === 1 ? "1 image, ready" : `${n} images, ready`),
    done: (n, ms) => `Read ${n === 1 ? "1 image" : `${n} images`} in ${ms} ms`,
    someFailed: (n) => `${n} could not be read`,
    image: (n) => `Image ${n}`,
    written: "What you wrote",
    readBy: (m) => `Read by ${m}`,
    whole: (p) => `all of it right: ${p}`,
    unsure: (n) => (n ? `${n} doubtful ${n === 1 ? "letter" : "letters"}` : "no letter in doubt"),
    lines: (n) => `${n} lines`,
    copy: "Copy",
    copied: "Copied",
    correct: "Correct",
    correctLabel: "What this line really says",
    save: "Save",
    cancel: "Cancel",
    saved: (n) => `Saved. ${n} ${n === 1 ? "line" : "lines"} in all.`,
    blank: "No handwriting found.",
    unread: (n) => `Ink in ${n === 1 ? "1 place" : `${n} places`} was not read. Crop it and read it alone.`,
    letter: (c, p, others) => `${c}, ${p}${others ? `; might be ${others}` : ""}`,
    space: "space",
    noImages: "There is no image yet. Get some, choose a photo, or write.",
    noStroke: "The sheet is empty. Write a few words.",
    badImage: "This is no image, or a damaged one. Save it as JPEG or PNG.",
    tooLarge: "The image is too large. Shrink it and try again.",
    busy: "The server is busy. Try again in a moment.",
    gone: "The server does not answer. Start netchu serve again and retry.",
    slow: "Reading took too long. Try a smaller image.",
    locked: "This server asks for an API key.",
    notSaved: "The correction was not saved. Look at the text and try again.",
    broken: "Something went wrong at the server. Try again.",
  },
};

const remembered = localStorage.getItem("language");
let language =
  remembered in WORDS
    ? remembered
    : navigator.languages.some((l) => l.toLowerCase().startsWith("vi"))
      ? "vi"
      : "en";

/** Return the text `name` in the language of the page. */
export function word(name, ...values) {
  const found = WORDS[language][name];
  return typeof found === "function" ? found(...values) : found;
}

/** Format a fraction in per cent. */
export function percent(share) {
  if (share < 0.01) return `<${percent(0.01)}`;
  const most = share > 0.99 && share < 1 ? 1 : 0;
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: most }).format(
    share,
  );
}

/** Set all texts of the page, now and when the language changes, and then call `changed`. */
export function speak(changed) {
  const write = () => {
    document.documentElement.lang = language;
    for (const place of document.querySelectorAll("[data-word]"))
      place.textContent = word(place.dataset.word);
    for (const place of document.querySelectorAll("[data-label]"))
      place.setAttribute("aria-label", word(place.dataset.label));
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
    }
    changed();
  };
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      localStorage.setItem("language", language);
      write();
    });
  }
  write();
}
