//! Japanese of the phrases that say what a rule expects.
//!
//! A fault says what was expected in English, and is stored like that. This is the catalogue of
//! those phrases: `{}` stands for what varies. A name, a format or a value has no entry; it reads
//! the same in both languages.

use std::borrow::Cow;

/// English, Japanese.
pub(super) const PHRASES: &[(&str, &str)] = &[
    // JSON.
    (
        "the text ends in the middle",
        "テキストが途中で終わっています",
    ),
    ("there is no text", "テキストがありません"),
    (
        "text after the submission",
        "送信データの後に余分なテキストがあります",
    ),
    (
        "text after the end of the document",
        "文書の終わりの後に余分なテキストがあります",
    ),
    ("expected a colon", "コロン（:）が必要です"),
    ("expected a comma or }", "コンマ（,）か } が必要です"),
    ("expected a comma or ]", "コンマ（,）か ] が必要です"),
    ("expected a key in quotes", "引用符で囲んだキーが必要です"),
    ("expected a value", "値が必要です"),
    (
        "expected true, false or null",
        "true、false、null のいずれかが必要です",
    ),
    ("a closing quotation mark", "閉じる引用符（\"）"),
    ("a record of at most 1 MiB", "1 MiB 以下のレコード"),
    ("a record of at most 200 cells", "200 セル以下のレコード"),
    ("nested too deep", "入れ子が深すぎます"),
    ("a number that is too long", "数値が長すぎます"),
    ("not a number", "数値ではありません"),
    (
        "not UTF-8; the text is in another encoding, such as CP932 (Shift_JIS)",
        "UTF-8 ではありません。CP932（Shift_JIS）など別の文字コードです",
    ),
    ("a string without its end", "文字列が閉じられていません"),
    ("a string that is too long", "文字列が長すぎます"),
    (
        "a control character in a string",
        "文字列に制御文字があります",
    ),
    (
        "half a surrogate pair",
        "サロゲートペアの片方しかありません",
    ),
    (
        "an escape that JSON does not have",
        "JSON にないエスケープです",
    ),
    ("a whole gzip stream", "完全な gzip データ"),
    (
        "gzip data as Content-Encoding says",
        "Content-Encoding のとおりの gzip データ",
    ),
    ("the whole body", "本文の全体"),
    // Types and sizes.
    ("an object", "オブジェクト"),
    ("an object that is not empty", "空でないオブジェクト"),
    ("an element of one type", "一つの型だけの要素"),
    (
        "the number of a laboratory in the identifier",
        "identifier に含まれる検査機関の番号",
    ),
    ("urn:uuid: and a UUID", "urn:uuid: と UUID"),
    ("a resource", "リソース"),
    (
        "a fullUrl that no other entry has (bdl-7)",
        "他のエントリーと異なる fullUrl（bdl-7）",
    ),
    ("a narrative with its div", "div のある Narrative（説明文）"),
    (
        "a narrative with its status",
        "status のある Narrative（説明文）",
    ),
    (
        "generated, extensions, additional or empty",
        "generated、extensions、additional、empty のいずれか",
    ),
    ("well-formed XHTML", "整形式の XHTML"),
    ("one div element of XHTML", "XHTML の div 要素一つ"),
    (
        "a character instead of an HTML entity",
        "HTML の実体参照ではなく文字そのもの",
    ),
    ("a text or an image within the div", "div の中の文字か画像"),
    (
        "the namespace http://www.w3.org/1999/xhtml",
        "名前空間 http://www.w3.org/1999/xhtml",
    ),
    (
        "an element that a narrative may have",
        "Narrative（説明文）に使える要素",
    ),
    (
        "an attribute that a narrative may have",
        "Narrative（説明文）に使える属性",
    ),
    (
        "an address or a style that runs nothing",
        "何も実行しないアドレスまたはスタイル",
    ),
    ("an array", "配列"),
    ("an array of objects", "オブジェクトの配列"),
    ("an array of strings", "文字列の配列"),
    ("a list", "配列"),
    ("a list that is not empty", "空でない配列"),
    ("a single value", "一つの値（配列でないもの）"),
    ("a string", "文字列"),
    ("a string \"{}\"", "文字列 \"{}\""),
    (
        "a string without control characters",
        "制御文字のない文字列",
    ),
    ("a text without control characters", "制御文字のない文字列"),
    ("no white space at the ends", "前後に空白のない値"),
    ("an integer", "整数"),
    ("an integer without exponent", "指数を使わない整数"),
    ("a whole number", "整数"),
    ("a number", "数値"),
    ("a number {}", "数値 {}"),
    (
        "at most 1000 digits, written without an exponent",
        "指数を使わずに書いて 1000 桁以下",
    ),
    ("a number without exponent", "指数を使わない数値"),
    ("true or false", "true か false"),
    ("null", "null"),
    ("a value", "値"),
    ("one of {} to {}", "{}～{} のいずれか"),
    ("one of {}", "{} のいずれか"),
    ("{} to {} characters", "{}～{} 文字"),
    ("{} to {} letters and digits", "半角英数字 {}～{} 文字"),
    ("ASCII letters and digits", "半角英数字"),
    ("{} digits", "数字 {} 桁"),
    ("at most {} characters", "{} 文字以内"),
    ("at least 1 character", "1 文字以上"),
    ("at most {} decimals", "小数点以下 {} 桁以内"),
    ("at most {} items", "{} 個以内"),
    ("0 or more", "0 以上"),
    ("1. and a digit", "1. と数字"),
    ("system|value", "system|value の形"),
    // Times.
    ("yyyyMMddHHmmss in JST", "日本標準時の yyyyMMddHHmmss"),
    ("yyyyMMddHHmmssSSS in JST", "日本標準時の yyyyMMddHHmmssSSS"),
    (
        "no later than a day after send_time",
        "send_time の 1 日後まで",
    ),
    ("an instant", "時点（日付、時刻、時差）"),
    ("a date", "日付"),
    ("a day", "年月日"),
    ("the day", "年月日"),
    ("the month", "年月"),
    ("a month or a day", "年月または年月日"),
    ("a dateTime", "dateTime の値"),
    (
        "a dateTime of FHIR, with its offset",
        "時差を含む FHIR の dateTime",
    ),
    (
        "a day, or a time with seconds",
        "年月日、または秒まである日時",
    ),
    ("a whole day, for this code", "このコードでは丸 1 日"),
    (
        "a Period from 00:00:00 to 23:59:00 or later of one day in Japan",
        "日本時間で同じ日の 00:00:00 から 23:59:00 以降までの Period",
    ),
    (
        "a Period whose start is its end",
        "始まりと終わりが同じ Period",
    ),
    (
        "effectiveDateTime, effectiveInstant or a whole day",
        "effectiveDateTime、effectiveInstant または丸 1 日",
    ),
    ("one effective[x]", "一つの effective[x]"),
    ("whole seconds", "秒単位の時刻"),
    ("not before it was measured", "計測日時以降の時刻"),
    ("time of receipt", "受信日時"),
    ("day of receipt", "受信日"),
    ("update_time after {}", "{} より新しい update_time"),
    (
        "issued after that of the stored version",
        "保存済みの版より新しい issued",
    ),
    ("a day not before {} ({})", "{}（{}）以降の日"),
    // Records.
    (
        "the same content as {} and {} more",
        "{} ほか {} 件と同じ内容",
    ),
    ("the same content as {}", "{} と同じ内容"),
    ("the stored content: {}", "保存済みの内容: {}"),
    ("another device", "別の機器"),
    ("this device", "この機器"),
    (
        "other elements beyond the fields of the record",
        "記録の項目以外の別の要素",
    ),
    ("these elements", "これらの要素"),
    ("{} above {}", "{} が {} より大きいこと"),
    ("{} not above {}", "{} が {} 以下であること"),
    ("{} to {} {}", "{}～{} {}"),
    ("a record kind", "記録種別"),
    ("the name of a record kind", "記録種別の名前"),
    ("an item of the record", "記録の項目"),
    ("one component of this code", "このコードの component 一つ"),
    (
        "one reading; the first one is kept, {}",
        "測定値は一つ。最初の {} を保存しました",
    ),
    ("one value of each beside {}", "{} 以外は値を一つずつ"),
    (
        "one record of this subject and time, or the device of one",
        "この対象と日時の記録一つ、またはその機器",
    ),
    (
        "one record of {} at this time that lacks {} and says nothing else otherwise",
        "この日時で {} のうち {} がなく、ほかの内容が一致する記録一つ",
    ),
    ("a record of {} that {} belongs to", "{} が属する {} の記録"),
    ("the other values of {} beside {}", "{} の、{} 以外の値"),
    (
        "the subject and time of identifier[record]",
        "identifier[record] の対象と日時",
    ),
    (
        "the subject, time and source of identifier[record]",
        "identifier[record] の対象、日時、情報源",
    ),
    ("the {} of {}", "{1} の {0}"),
    ("the same {} as {}", "{1} と同じ {0}"),
    ("all parts of the record", "記録のすべての部分"),
    ("kept beside the record", "記録とは別に保存しました"),
    (
        "no other of the record that it is part of; it is not kept",
        "属する記録の値以外の値。保存していません",
    ),
    ("codes of the method", "測定方法のコード"),
    (
        "a submission: kenko-fhir convert --to exchange makes one of FHIR",
        "規約の送信データ。FHIR は kenko-fhir convert --to exchange で変換できます",
    ),
    // FHIR.
    ("a resource that is too large", "リソースが大きすぎます"),
    (
        "more Bundles with entries than are read at once; send them in parts",
        "一度に読める数より多くの Bundle があります。分けて送ってください",
    ),
    ("a FHIR resource", "FHIR リソース"),
    ("a Bundle is expected", "Bundle が必要です"),
    (
        "one Bundle is expected, and nothing after it",
        "Bundle は一つだけにしてください",
    ),
    ("a resource is expected", "リソースが必要です"),
    (
        "one resource is expected, and nothing after it",
        "リソースは一つだけにしてください",
    ),
    (
        "a resource with its resourceType",
        "resourceType のあるリソース",
    ),
    ("a resource type of R4", "R4 のリソースタイプ"),
    (
        "a resource that a record can be made from",
        "記録に変換できるリソース",
    ),
    ("an element of R4", "R4 の要素"),
    ("id or extension", "id か extension"),
    ("a Quantity", "Quantity の値"),
    ("no unit", "単位なし"),
    (
        "final, amended or corrected",
        "final、amended、corrected のいずれか",
    ),
    (
        "male, female, other or unknown",
        "male、female、other、unknown のいずれか",
    ),
    ("on-study or off-study", "on-study か off-study"),
    ("intervention or control", "intervention か control"),
    ("valueCoding of {}", "{} の valueCoding"),
    ("a reference to a Patient", "Patient への参照"),
    (
        "a reference to something that is there",
        "存在するリソースへの参照",
    ),
    ("a Patient that is there", "存在する Patient"),
    (
        "an identifier of what the reference beside it leads to",
        "並記された参照の先と同じものの identifier",
    ),
    (
        "a Device whose manufacturer, modelNumber and serialNumber fit",
        "manufacturer、modelNumber、serialNumber が規則に合う Device",
    ),
    (
        "an Organization whose identifier fits",
        "identifier が規則に合う Organization",
    ),
    (
        "a Patient that is there, or comes in the same Bundle",
        "存在する Patient、または同じ Bundle で送る Patient",
    ),
    (
        "a Patient with an identifier of a consortium",
        "コンソーシアムの identifier のある Patient",
    ),
    (
        "an identifier of a consortium's person, with its system and value",
        "コンソーシアムの個人の identifier（system と value）",
    ),
    (
        "one identifier of a consortium's person",
        "コンソーシアムの個人の identifier 一つ",
    ),
    (
        "an identifier of one participant in participants.external_identifiers",
        "participants.external_identifiers で一人だけがもつ identifier",
    ),
    (
        "an identifier of a consortium, or one that participants.external_identifiers has",
        "コンソーシアムの identifier、または participants.external_identifiers にある identifier",
    ),
    (
        "an Organization that is a laboratory of the consortium: by our identifier, or by institution_code or external_identifiers in laboratories",
        "コンソーシアムの検査機関である Organization（本サーバーの identifier、または一覧 laboratories の institution_code か external_identifiers による）",
    ),
    (
        "a Device with manufacturer, modelNumber and serialNumber, or a row of devices with fallback_for {}",
        "manufacturer、modelNumber、serialNumber のある Device、または一覧 devices で fallback_for が {} の行",
    ),
    (
        "manufacturer, modelNumber and serialNumber",
        "manufacturer、modelNumber、serialNumber",
    ),
    (
        "the day on which the participation begins",
        "参加を開始した日",
    ),
    (
        "the day on which the participation ended",
        "参加を終了した日",
    ),
    (
        "the ResearchStudy of the consortium",
        "コンソーシアムの ResearchStudy",
    ),
    (
        "participation_start_date in ResearchSubject.period.start",
        "ResearchSubject.period.start に participation_start_date",
    ),
    (
        "a participant who is not registered; update the Patient that is there",
        "未登録の参加者。登録済みの Patient は更新（PUT）してください",
    ),
    ("the id {}", "{} という id"),
    ("a JSON Patch (RFC 6902)", "JSON Patch（RFC 6902）"),
    // Registries.
    ("a header row of field names", "項目名の見出し行"),
    ("a cell under the name of a field", "見出しのある列のセル"),
    ("a field of the list", "この一覧の項目"),
    ("each key once", "キーの重複しない行"),
    ("each key once ({})", "キーの重複しない行（{}）"),
    (
        "an identifier of one row of the consortium",
        "コンソーシアムの中で一つの行だけがもつ identifier",
    ),
    (
        "an identifier of one row of the consortium ({})",
        "コンソーシアムの中で一つの行だけがもつ identifier（{}）",
    ),
    (
        "one laboratory for each consortium and client",
        "コンソーシアムとクライアントごとに検査機関一つ",
    ),
    (
        "one laboratory for each consortium and client ({})",
        "コンソーシアムとクライアントごとに検査機関一つ（{}）",
    ),
    ("one device for each record kind", "記録種別ごとに機器一つ"),
    (
        "one device for each record kind ({})",
        "記録種別ごとに機器一つ（{}）",
    ),
    ("another row has it", "別の行にあります"),
    ("line {} has it", "{} 行目にあります"),
    (
        "every row that records refer to",
        "記録から参照されているすべての行",
    ),
    (
        "an identifier that no other participant of the consortium has",
        "コンソーシアムのほかの参加者がもたない identifier",
    ),
    (
        "ledger_number with fallback_for",
        "fallback_for と ledger_number の組",
    ),
    ("a quote at the end of the cell", "セルの終わりの引用符"),
];

/// The phrase in Japanese; itself where the catalogue does not have it.
pub(super) fn japanese(text: &str) -> Cow<'_, str> {
    for (english, japanese) in PHRASES {
        if let Some(values) = matches(english, text) {
            return filled(japanese, &values).into();
        }
    }
    Cow::Borrowed(text)
}

/// Texts in place of each `{}` of `pattern` in `text`, where that is one of its kind.
fn matches<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut parts = pattern.split("{}");
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut values = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        // What comes last goes on to the end.
        let at = match parts.peek() {
            None if part.is_empty() => rest.len(),
            None => rest
                .len()
                .checked_sub(part.len())
                .filter(|&at| rest.get(at..) == Some(part))?,
            Some(_) => rest.find(part)?,
        };
        values.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    rest.is_empty().then_some(values)
}

/// A Japanese phrase with its values: `{}` in their order, `{0}` by their place.
fn filled(phrase: &str, values: &[&str]) -> String {
    let mut out = phrase.to_owned();
    for (n, value) in values.iter().enumerate() {
        let value = japanese(value);
        let place = format!("{{{n}}}");
        if out.contains(&place) {
            out = out.replace(&place, &value);
        } else {
            out = out.replacen("{}", &value, 1);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_filled_in_their_order() {
        assert_eq!(japanese("at most 2 decimals"), "小数点以下 2 桁以内");
        assert_eq!(japanese("one of 01 to 47"), "01～47 のいずれか");
        assert_eq!(japanese("one of 1, 2"), "1, 2 のいずれか");
        assert_eq!(
            japanese("the same subject as Bundle.entry[1]"),
            "Bundle.entry[1] と同じ subject"
        );
        assert_eq!(
            japanese("each key once (line 3 has it)"),
            "キーの重複しない行（3 行目にあります）"
        );
        assert_eq!(
            japanese("the stored content: another device"),
            "保存済みの内容: 別の機器"
        );
        assert_eq!(japanese("a string \"65.50\""), "文字列 \"65.50\"");
        assert_eq!(japanese("send_time"), "send_time");
    }

    /// Literals of the sources that are expected of something.
    fn expected(source: &str) -> Vec<String> {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut out = Vec::new();
        for start in [
            ".expected(\"",
            ".expected(format!(\"",
            "reason: \"",
            "expected: \"",
            "wrong(FaultCode::",
            ".broken_at(\"",
            "expected = \"",
        ] {
            for (at, _) in code.match_indices(start) {
                let rest = &code[at + start.len()..];
                let rest = match start {
                    "wrong(FaultCode::" => match rest.split_once('"') {
                        Some((before, rest)) if before.len() < 40 => rest,
                        _ => continue,
                    },
                    _ => rest,
                };
                let Some((text, _)) = rest.split_once('"') else {
                    continue;
                };
                // A line that goes on is one with what follows; what varies is a value.
                let text = text.split("\\\n").map(str::trim_start).collect::<String>();
                let mut plain = String::new();
                let mut inside = false;
                for c in text.chars() {
                    match c {
                        '{' => {
                            inside = true;
                            plain.push('7');
                        }
                        '}' => inside = false,
                        c if !inside => plain.push(c),
                        _ => {}
                    }
                }
                out.push(plain);
            }
        }
        out
    }

    fn sources(folder: &std::path::Path, out: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, out);
            } else {
                out.push(path);
            }
        }
    }

    #[test]
    fn every_phrase_of_the_sources_has_its_japanese() {
        let mut files = Vec::new();
        sources(std::path::Path::new("src"), &mut files);
        let mut missing = Vec::new();
        let mut found = 0;
        // The rules of `$validate` have their Japanese beside them.
        for file in files
            .iter()
            .filter(|f| !f.ends_with("tests.rs") && !f.ends_with("validate/rule.rs"))
        {
            for text in expected(&std::fs::read_to_string(file).unwrap()) {
                found += 1;
                // A word by itself is a name, or a value.
                if text.contains(' ') && japanese(&text) == text.as_str() {
                    missing.push(format!("{}: {text}", file.display()));
                }
            }
        }
        assert!(found > 60, "{found}");
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    }

    #[test]
    fn the_japanese_is_japanese() {
        for (english, japanese) in PHRASES {
            let same = !english.contains(' ') || !japanese.is_ascii();
            assert!(same || english == japanese, "{english}: {japanese}");
            assert_eq!(
                english.matches("{}").count(),
                japanese.matches('{').count(),
                "{english}"
            );
        }
    }
}
