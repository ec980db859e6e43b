//! Character sets, with characters that each of them has.

/// A character set.
#[derive(Debug)]
pub(super) struct Charset {
    pub(super) name: &'static str,
    /// What it has beside ASCII.
    own: &'static str,
    /// Collations beside the default one.
    pub(super) collations: &'static [&'static str],
}

const fn of(name: &'static str, own: &'static str, collations: &'static [&'static str]) -> Charset {
    Charset {
        name,
        own,
        collations,
    }
}

/// What all have.
const ASCII: &str = "aZ09 '\"\\\n\0\t%_`,;{}";

/// The ones that both servers have; the simplest first.
const CHARSETS: &[Charset] = &[
    of(
        "utf8mb4",
        "é日🦀\u{301}\u{10FFFD}ßİ\u{FEFF}",
        &[
            "utf8mb4_bin",
            "utf8mb4_general_ci",
            "utf8mb4_unicode_ci",
            "utf8mb4_czech_ci",
        ],
    ),
    of("ascii", "", &["ascii_bin"]),
    of(
        "latin1",
        "éßÿ€žÀ„",
        &["latin1_bin", "latin1_german2_ci", "latin1_spanish_ci"],
    ),
    of(
        "utf8mb3",
        "é日\u{301}\u{FFFD}ßا",
        &["utf8mb3_bin", "utf8mb3_unicode_ci"],
    ),
    of("latin2", "ąŁśŽőű", &["latin2_bin", "latin2_hungarian_ci"]),
    of("latin5", "ğışĞİ", &["latin5_bin"]),
    of("latin7", "ąčęšūž", &["latin7_bin"]),
    of("cp1250", "ŠťŽł€", &["cp1250_bin", "cp1250_polish_ci"]),
    of(
        "cp1251",
        "ПриветЁЇ№€",
        &["cp1251_bin", "cp1251_ukrainian_ci"],
    ),
    of("cp1256", "سلام€", &["cp1256_bin"]),
    of("cp1257", "ąčęšž€", &["cp1257_bin"]),
    of("cp850", "éß░▓", &["cp850_bin"]),
    of("cp852", "ąŁő░", &["cp852_bin"]),
    of("cp866", "Привет░", &["cp866_bin"]),
    of("koi8r", "Приветё─", &["koi8r_bin"]),
    of("koi8u", "Приветґє", &["koi8u_bin"]),
    of("greek", "Αθήνα", &["greek_bin"]),
    of("hebrew", "שלום", &["hebrew_bin"]),
    of("tis620", "ไทยคำ", &["tis620_bin"]),
    of("ucs2", "é日\u{301}ا", &["ucs2_bin", "ucs2_unicode_ci"]),
    of(
        "utf16",
        "é日🦀\u{10FFFD}",
        &["utf16_bin", "utf16_unicode_ci"],
    ),
    of("utf16le", "é日🦀", &["utf16le_bin"]),
    of(
        "utf32",
        "é日🦀\u{10FFFD}",
        &["utf32_bin", "utf32_unicode_ci"],
    ),
    of("sjis", "日本語カｶ", &["sjis_bin"]),
    of("cp932", "日本語①髙ｶ", &["cp932_bin"]),
    of("ujis", "日本語カｶ", &["ujis_bin"]),
    of("eucjpms", "日本語①ｶ", &["eucjpms_bin"]),
    of("gbk", "中文汉字", &["gbk_bin"]),
    of("gb2312", "中文汉字", &["gb2312_bin"]),
    of("big5", "中文漢字", &["big5_bin"]),
    of("euckr", "한글漢", &["euckr_bin"]),
];

/// The ones that MySQL alone has.
const OF_MYSQL: &[Charset] = &[
    of("gb18030", "中文🦀é", &["gb18030_bin"]),
    of(
        "utf8mb4",
        "é日🦀\u{301}",
        &[
            "utf8mb4_0900_ai_ci",
            "utf8mb4_0900_bin",
            "utf8mb4_ja_0900_as_cs",
        ],
    ),
];

/// The character sets of a server.
pub(super) fn all(mysql: bool) -> Vec<&'static Charset> {
    let more = if mysql { OF_MYSQL } else { &[] };
    CHARSETS.iter().chain(more).collect()
}

impl Charset {
    /// A character that it has, by a number; 0 is the simplest.
    pub(super) fn character(&self, number: u64) -> char {
        let length = ASCII.chars().chain(self.own.chars()).count() as u64;
        let mut characters = ASCII.chars().chain(self.own.chars());
        let place = (number % length) as usize;
        characters.nth(place).expect("within the length")
    }

    /// How many characters there are to choose from.
    pub(super) fn size(&self) -> u64 {
        ASCII.chars().chain(self.own.chars()).count() as u64
    }
}
