//! The prefectures of Japan by their JIS X 0401 numbers, named as addresses write them.

use super::codes::{CodeEntry, entry};

/// The 47 prefectures, in the order of their codes `01` to `47`.
pub const PREFECTURES: &[CodeEntry] = &[
    entry("01", "北海道", "Hokkaido"),
    entry("02", "青森県", "Aomori"),
    entry("03", "岩手県", "Iwate"),
    entry("04", "宮城県", "Miyagi"),
    entry("05", "秋田県", "Akita"),
    entry("06", "山形県", "Yamagata"),
    entry("07", "福島県", "Fukushima"),
    entry("08", "茨城県", "Ibaraki"),
    entry("09", "栃木県", "Tochigi"),
    entry("10", "群馬県", "Gunma"),
    entry("11", "埼玉県", "Saitama"),
    entry("12", "千葉県", "Chiba"),
    entry("13", "東京都", "Tokyo"),
    entry("14", "神奈川県", "Kanagawa"),
    entry("15", "新潟県", "Niigata"),
    entry("16", "富山県", "Toyama"),
    entry("17", "石川県", "Ishikawa"),
    entry("18", "福井県", "Fukui"),
    entry("19", "山梨県", "Yamanashi"),
    entry("20", "長野県", "Nagano"),
    entry("21", "岐阜県", "Gifu"),
    entry("22", "静岡県", "Shizuoka"),
    entry("23", "愛知県", "Aichi"),
    entry("24", "三重県", "Mie"),
    entry("25", "滋賀県", "Shiga"),
    entry("26", "京都府", "Kyoto"),
    entry("27", "大阪府", "Osaka"),
    entry("28", "兵庫県", "Hyogo"),
    entry("29", "奈良県", "Nara"),
    entry("30", "和歌山県", "Wakayama"),
    entry("31", "鳥取県", "Tottori"),
    entry("32", "島根県", "Shimane"),
    entry("33", "岡山県", "Okayama"),
    entry("34", "広島県", "Hiroshima"),
    entry("35", "山口県", "Yamaguchi"),
    entry("36", "徳島県", "Tokushima"),
    entry("37", "香川県", "Kagawa"),
    entry("38", "愛媛県", "Ehime"),
    entry("39", "高知県", "Kochi"),
    entry("40", "福岡県", "Fukuoka"),
    entry("41", "佐賀県", "Saga"),
    entry("42", "長崎県", "Nagasaki"),
    entry("43", "熊本県", "Kumamoto"),
    entry("44", "大分県", "Oita"),
    entry("45", "宮崎県", "Miyazaki"),
    entry("46", "鹿児島県", "Kagoshima"),
    entry("47", "沖縄県", "Okinawa"),
];

/// The Japanese name of a prefecture, with its 都道府県; `None` for a number that is none.
pub fn prefecture_name(code: &str) -> Option<&'static str> {
    PREFECTURES
        .iter()
        .find(|entry| entry.code == code)
        .map(|entry| entry.ja)
}

/// The JIS X 0401 number of a prefecture by its Japanese name.
pub fn prefecture_code(name: &str) -> Option<&'static str> {
    PREFECTURES
        .iter()
        .find(|entry| entry.ja == name)
        .map(|entry| entry.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_run_from_01_to_47() {
        for (i, entry) in PREFECTURES.iter().enumerate() {
            assert_eq!(entry.code, format!("{:02}", i + 1));
            assert_eq!(prefecture_code(entry.ja), Some(entry.code));
        }
        assert_eq!(PREFECTURES.len(), 47);
        assert_eq!(prefecture_name("23"), Some("愛知県"));
        assert_eq!(prefecture_name("48"), None);
    }
}
