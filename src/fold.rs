//! What string search takes for the same (FHIR R4, search, "string", and the project's own
//! rule for Japanese): case, the accents of Latin letters, hiragana and katakana, full and
//! half width.
//!
//! Both what is stored and what is asked are folded, so that searching is comparing.
//! Dakuten stay: は, ば and ぱ are different sounds, while à and a are one letter.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A text in the form in which texts are compared; folding twice changes nothing more.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut latin = false;
    let mut out = String::with_capacity(text.len());
    // Compatibility decomposition undoes the widths and sets marks apart from letters.
    for c in text.nfkd() {
        let is_mark = is_combining_mark(c);
        if is_mark && latin && !is_kana_mark(c) {
            continue;
        }
        // By way of the small letter's capital, so that ß and ẞ are ss, and ς is σ.
        let small = c.to_lowercase().flat_map(char::to_uppercase);
        out.extend(small.flat_map(char::to_lowercase).map(hiragana));
        if !is_mark {
            // Of the letter as it became: that is the one which is folded again.
            latin = out.chars().next_back().is_some_and(is_latin);
        }
    }
    // A capital may have brought a mark of its own.
    out.nfkc().collect()
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{C0}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}')
}

/// Dakuten and handakuten.
fn is_kana_mark(c: char) -> bool {
    matches!(c, '\u{3099}' | '\u{309A}')
}

fn hiragana(c: char) -> char {
    match c {
        'ァ'..='ヶ' | 'ヽ' | 'ヾ' => char::from_u32(u32::from(c) - 0x60).unwrap_or(c),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_the_same_and_what_is_not() {
        for (a, b) in [
            ("ACME", "acme"),
            ("Ａｃｍｅ　ＷＳ－１００", "acme ws-100"),
            ("Électricité", "electricite"),
            ("e\u{301}", "E"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "straße"),
            ("ΟΔΟΣ", "οδος"),
            ("アクメ", "あくめ"),
            ("ｱｸﾒ", "アクメ"),
            ("ｶﾞｰｾﾞ", "ガーゼ"),
            ("カ\u{3099}", "が"),
            ("ヶ", "ゖ"),
            ("ヴ", "ゔ"),
            ("㍿", "株式会社"),
            ("㎏", "kg"),
            ("İ", "i"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        for (a, b) in [
            ("は", "ば"),
            ("は", "ぱ"),
            ("ハ", "バ"),
            ("ﾊ", "ﾊﾞ"),
            ("い", "ぃ"),
            ("おお", "おー"),
            ("東京", "京都"),
        ] {
            assert_ne!(fold(a), fold(b), "{a} {b}");
        }
    }

    #[test]
    fn every_letter_is_folded_once_and_for_all() {
        for c in '\0'..=char::MAX {
            let once = fold(c.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&once), once, "{c:?}");
        }
    }

    /// Texts in which everything that is folded happens often.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-zA-ZÀ-ɏḀ-ỿ\u{300}-\u{36F}ぁ-ヿｦ-ﾟ！-～\u{3099}\u{309A}\u{345}ΐΰﬀ-ﬗ]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in text()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn case_and_width_and_kana_never_matter(text in "[ -~ぁ-ゖ]{0,12}") {
            let wide: String = text.chars().map(|c| match c {
                ' ' => '\u{3000}',
                '!'..='~' => char::from_u32(u32::from(c) + 0xFEE0).unwrap(),
                'ぁ'..='ゖ' => char::from_u32(u32::from(c) + 0x60).unwrap(),
                other => other,
            }).collect();
            prop_assert_eq!(fold(&wide), fold(&text));
            prop_assert_eq!(fold(&text.to_uppercase()), fold(&text));
        }

        /// So a prefix, and a part, of what is stored is one of what is compared.
        #[test]
        fn folding_goes_letter_by_letter(a in text(), b in "[a-z亜-熙]{1,4}", c in text()) {
            let whole = fold(&[&c, &b, &a, &b, &c].map(String::as_str).concat());
            let part = [&b, &a, &b].map(String::as_str).concat();
            prop_assert!(whole.contains(&fold(&part)));
            let whole = fold(&(part.clone() + &b + &c));
            prop_assert!(whole.starts_with(&fold(&part)));
        }
    }
}
