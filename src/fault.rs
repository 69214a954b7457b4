//! Faults: what is wrong with an input, where, what was expected and what to do.
//!
//! Everything that reads (the protocol reader, the registries, FHIR in) collects
//! [`Fault`]s and goes on; nothing stops at the first one. A fault has a stable
//! [`Code`] of `B/CodeSystem/fault` and renders its message in English or
//! Japanese when it is shown, never before.

mod phrase;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The record (or submission) is refused.
    Error,
    /// Stored, but worth a look.
    Warning,
    /// Something the sender should know: a fallback used, a value converted.
    Information,
}

impl Severity {
    /// The word used in receipts and in `OperationOutcome.issue.severity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Information => "information",
        }
    }
}

/// The language of a message meant for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// English, the default.
    #[default]
    En,
    /// Japanese.
    Ja,
}

impl Lang {
    /// The language of the terminal, as its locale says.
    pub fn of_terminal() -> Lang {
        let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let locale = set("LC_ALL")
            .or_else(|| set("LC_MESSAGES"))
            .or_else(|| set("LANG"));
        match locale {
            Some(locale) if locale.starts_with("ja") => Lang::Ja,
            _ => Lang::En,
        }
    }

    /// The language an `Accept-Language` header prefers; English unless Japanese ranks higher.
    pub fn from_accept(header: Option<&str>) -> Lang {
        let mut best = (Lang::En, 0.0_f32);
        for part in header.unwrap_or_default().split(',') {
            let mut pieces = part.split(';');
            let tag = pieces
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            let q = pieces
                .find_map(|p| p.trim().strip_prefix("q=").and_then(|q| q.parse().ok()))
                .unwrap_or(1.0);
            let lang = match tag.split('-').next() {
                Some("ja") => Lang::Ja,
                Some("en") => Lang::En,
                _ => continue,
            };
            if q > best.1 {
                best = (lang, q);
            }
        }
        best.0
    }
}

/// Where a fault was met, which decides what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// In a submission of the protocol.
    #[default]
    Submission,
    /// In a resource of FHIR.
    Fhir,
    /// In a list of the registries.
    Registry,
    /// In the encoding of a text.
    Encoding,
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $issue:literal $en:literal $ja:literal, $fix_en:literal $fix_ja:literal;)*) => {
        /// A stable fault code: `B/CodeSystem/fault`, `faults[].code`, `issue.details.coding`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $en] $variant,)* }

        impl Code {
            /// Every code, in the order of the list in the interface specification.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }
            /// The severity a fault of this code has.
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)* }
            }
            /// The FHIR `issue-type` that goes with it.
            pub fn issue_type(self) -> &'static str {
                match self { $(Code::$variant => $issue,)* }
            }
            /// What is wrong, in a few words.
            pub fn title(self, lang: Lang) -> &'static str {
                match (self, lang) { $((Code::$variant, Lang::En) => $en, (Code::$variant, Lang::Ja) => $ja,)* }
            }
            /// What to do about it.
            pub fn remedy(self, lang: Lang) -> &'static str {
                match (self, lang) { $((Code::$variant, Lang::En) => $fix_en, (Code::$variant, Lang::Ja) => $fix_ja,)* }
            }
            /// The code with this name.
            pub fn parse(name: &str) -> Option<Code> {
                match name { $($name => Some(Code::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    Json "json" Error "structure" "not well-formed JSON" "JSON として正しくありません",
        "correct the file at this place" "この位置を修正してください";
    RequiredMissing "required-missing" Error "required" "a required field is missing" "必須項目がありません",
        "add the field" "項目を追加してください";
    UnknownField "unknown-field" Error "structure" "a field that the protocol does not have" "規約にない項目です",
        "remove it or correct its name" "削除するか名前を直してください";
    DuplicateKey "duplicate-key" Error "structure" "the same key twice in one object" "同じキーが重複しています",
        "keep one of them" "一つだけ残してください";
    Type "type" Error "value" "a value of the wrong type" "値の型が違います",
        "write a value of the type that is expected" "期待される型の値で記述してください";
    Digits "digits" Error "value" "too many characters, or none" "桁数が範囲外です",
        "write a value of the size that is expected" "期待される桁数で記述してください";
    Decimals "decimals" Error "value" "too many decimals" "小数桁数が多すぎます",
        "write the number plainly with at most the decimals of the field" "項目の小数桁数以内で、指数を使わずに記述してください";
    Range "range" Error "value" "a number below zero" "負の値です",
        "send the measured value" "測定値を送ってください";
    CodeUnknown "code-unknown" Error "code-invalid" "a code that is not in its list" "一覧にないコードです",
        "use a code of the list" "一覧のコードを使ってください";
    TimeInvalid "time-invalid" Error "value" "not a time of the calendar" "暦にない日時です",
        "write the time in Japan Standard Time with all its digits" "日本標準時で全桁を記述してください";
    FutureTime "future-time" Error "business-rule" "measured after it was sent" "計測日時が送信日時より後です",
        "check the clock of the device and of the sender" "機器と送信側の時計を確認してください";
    TimePrecision "time-precision" Error "value" "a time that is not precise enough, or is not one instant or day" "日時の精度が足りません",
        "send a day or an instant" "日または時点で送ってください";
    DuplicateIdentity "duplicate-identity" Error "duplicate" "the same record twice with different content" "同じ記録が異なる内容で重複しています",
        "send the right one only" "正しい方だけを送ってください";
    Identity "identity" Error "business-rule" "the identity of the record cannot change" "記録の同一性は変更できません",
        "write it under its own id" "その記録の id で書き込んでください";
    Stale "stale" Information "informational" "older than what is stored" "保存済みより古い内容です",
        "nothing has to be done; the newer content stays" "対応不要です。新しい内容を保持します";
    Conflict "conflict" Error "conflict" "different content with the same update_time as the stored record" "update_time が同じで内容が異なります",
        "send the right content with a newer update_time" "正しい内容を新しい update_time で送ってください";
    ConsortiumUnknown "consortium-unknown" Error "not-found" "a consortium that is not registered" "未登録のコンソーシアムです",
        "register it in the list consortia (kenko-fhir registry load, or PUT /exchange/registries/consortia)" "一覧 consortia に登録してください（kenko-fhir registry load、または PUT /exchange/registries/consortia）";
    ParticipantUnknown "participant-unknown" Error "not-found" "a participant who is not registered" "未登録の参加者です",
        "register the person in the list participants (kenko-fhir registry load, or PUT /exchange/registries/participants)" "一覧 participants に登録してください（kenko-fhir registry load、または PUT /exchange/registries/participants）";
    ParticipantAmbiguous "participant-ambiguous" Error "multiple-matches" "an identifier of several participants" "複数の参加者に一致します",
        "name the person by the consortium's own id" "コンソーシアムの個人 ID で指定してください";
    LaboratoryUnknown "laboratory-unknown" Error "not-found" "a laboratory that is not registered" "未登録の検査機関です",
        "register it in the list laboratories (kenko-fhir registry load, or PUT /exchange/registries/laboratories)" "一覧 laboratories に登録してください（kenko-fhir registry load、または PUT /exchange/registries/laboratories）";
    MethodUnknown "method-unknown" Error "not-found" "a measurement method that is not registered" "未登録の測定方法です",
        "register it in the list hba1c-methods (kenko-fhir registry load, or PUT /exchange/registries/hba1c-methods)" "一覧 hba1c-methods に登録してください（kenko-fhir registry load、または PUT /exchange/registries/hba1c-methods）";
    DeviceUnidentified "device-unidentified" Error "required" "a device without maker, model or serial" "機器を特定できません",
        "send manufacturer, modelNumber and serialNumber" "manufacturer、modelNumber、serialNumber を送ってください";
    OutsideParticipation "outside-participation" Error "business-rule" "measured outside the participation period" "参加期間外の計測です",
        "send only what was measured during the participation, or correct the period in the list participants" "参加期間内の記録だけを送るか、participants の期間を直してください";
    CodeUnsupported "code-unsupported" Error "not-supported" "a code that no record kind takes" "対応する記録種別がないコードです",
        "send it to another system, or add a mapping (--mappings)" "別のシステムに送るか、マッピング（--mappings）を追加してください";
    CodeAmbiguous "code-ambiguous" Error "code-invalid" "codes that mean different quantities" "異なる量を表すコードが混在しています",
        "keep the one that was measured" "測定した量のコードだけを残してください";
    UnitUnknown "unit-unknown" Error "value" "a unit that is not listed for this code" "このコードでは受け付けられない単位です",
        "send one of the listed units" "一覧の単位で送ってください";
    ValueNotNumeric "value-not-numeric" Error "value" "not one plain number" "数値ではありません",
        "send a Quantity without comparator" "comparator のない Quantity で送ってください";
    StatusNotFinal "status-not-final" Error "business-rule" "not a final result" "確定した結果ではありません",
        "send it when it is final" "確定後に送ってください";
    StatusWithdrawn "status-withdrawn" Error "business-rule" "a withdrawn result" "取り消された結果です",
        "the protocol cannot take it back; on the server, delete the Observation (DELETE /fhir/Observation/{id})" "規約では取り消せません。サーバーでは Observation を削除してください（DELETE /fhir/Observation/{id}）";
    Modifier "modifier" Error "not-supported" "an element that changes the meaning" "意味を変える要素があります",
        "send the resource without it" "その要素なしで送ってください";
    Subsetted "subsetted" Error "business-rule" "a part of a resource, which would replace the whole" "リソースの一部のみの内容です（全体を置き換えることはできません）",
        "read the resource without _elements and _summary and write that, or send a patch" "_elements と _summary を付けずに読み直して書き込むか、パッチで変更してください";
    RecordInconsistent "record-inconsistent" Error "conflict" "parts of one record that do not agree" "同じ記録の部分どうしが一致しません",
        "send all parts of the record with the same subject, time, device and status" "対象、日時、機器、状態を揃えて送ってください";
    Implausible "implausible" Warning "value" "an implausible value" "通常ありえない値です",
        "check the measurement" "測定値を確認してください";
    DeviceUnregistered "device-unregistered" Warning "not-found" "a device model that is not registered" "未登録の機種です",
        "register it in the list devices (kenko-fhir registry load, or PUT /exchange/registries/devices)" "一覧 devices に登録してください（kenko-fhir registry load、または PUT /exchange/registries/devices）";
    DeviceInaccurate "device-inaccurate" Warning "business-rule" "a device whose registered error lies outside ±3 %" "登録された誤差が ±3 % を超える機器です",
        "interpret the values with care" "値の解釈に注意してください";
    AliasUsed "alias-used" Warning "informational" "another spelling of a field name" "項目名の別表記です",
        "write the protocol's name" "規約の名前で記述してください";
    Converted "converted" Information "informational" "the value was converted" "値を変換しました",
        "nothing has to be done" "対応不要です";
    ConvertedFromJds "converted-from-jds" Warning "informational" "converted from a JDS value" "JDS 値から変換しました",
        "check that the value was a JDS value" "JDS 値であることを確認してください";
    FallbackUsed "fallback-used" Information "informational" "a required field was filled by a fallback" "必須項目を代替値で補いました",
        "send the field itself where you have it" "可能なら項目そのものを送ってください";
    NotExpressible "not-expressible" Information "informational" "the protocol cannot say this" "規約では表現できません",
        "nothing has to be done; it is no part of the protocol's data" "対応不要です。規約のデータには含まれません";
}

/// Title and remedy of a code where an area needs others than the code has:
/// code, area, title (empty for that of the code) and remedy, in English and Japanese.
type Local = (Code, Area, [&'static str; 2], [&'static str; 2]);

const OF_THE_CODE: [&str; 2] = ["", ""];

const LOCAL: &[Local] = &[
    (
        Code::Implausible,
        Area::Registry,
        [
            "a key that may have lost its leading zeros",
            "先頭のゼロが失われた可能性のあるキーです",
        ],
        [
            "format the column as text in the spreadsheet, write the key whole and load the list again",
            "表計算ソフトで列の書式を文字列にし、キーを正しく記述して読み込み直してください",
        ],
    ),
    (
        Code::UnknownField,
        Area::Submission,
        OF_THE_CODE,
        [
            "remove it or correct its name (lenient handling ignores it with a warning: \
             --lenient, or Prefer: handling=lenient)",
            "削除するか名前を直してください（--lenient、または Prefer: handling=lenient では警告のみで無視します）",
        ],
    ),
    (
        Code::UnknownField,
        Area::Fhir,
        [
            "an element that FHIR does not have here",
            "FHIR ではここにない要素です",
        ],
        [
            "remove the element or correct its name",
            "要素を削除するか名前を直してください",
        ],
    ),
    (
        Code::UnknownField,
        Area::Registry,
        [
            "a field that the list does not have",
            "この一覧にない項目です",
        ],
        [
            "remove the field or correct its name",
            "項目を削除するか名前を直してください",
        ],
    ),
    (
        Code::RequiredMissing,
        Area::Fhir,
        ["a required element is missing", "必須の要素がありません"],
        ["add the element", "要素を追加してください"],
    ),
    (
        Code::Type,
        Area::Encoding,
        ["a text in another encoding", "文字コードが違います"],
        [
            "save the text in the encoding that is expected, or name its own (Content-Type: \
             text/csv; charset=cp932)",
            "期待される文字コードで保存し直すか、実際の文字コードを指定してください（Content-Type: text/csv; charset=cp932）",
        ],
    ),
    (
        Code::Json,
        Area::Encoding,
        ["a text in another encoding", "文字コードが違います"],
        [
            "save the text in UTF-8 and send it again",
            "UTF-8 で保存し直して送ってください",
        ],
    ),
    (
        Code::Range,
        Area::Registry,
        OF_THE_CODE,
        ["write 0 or more", "0 以上の値を記述してください"],
    ),
    (
        Code::TimeInvalid,
        Area::Fhir,
        OF_THE_CODE,
        [
            "write a date, or a dateTime with its offset",
            "日付、または時差を含む日時で記述してください",
        ],
    ),
    (
        Code::TimeInvalid,
        Area::Registry,
        OF_THE_CODE,
        [
            "write a day, month or time of the calendar with all the digits that are expected",
            "暦にある日、月、時刻を、期待される桁数で記述してください",
        ],
    ),
    (
        Code::DuplicateIdentity,
        Area::Registry,
        [
            "a value that only one row may have",
            "一つの行だけがもてる値が重複しています",
        ],
        [
            "keep the value in one row",
            "値を一つの行だけに残してください",
        ],
    ),
    (
        Code::DuplicateIdentity,
        Area::Fhir,
        [
            "the same identity twice with different content",
            "同じ対象が異なる内容で重複しています",
        ],
        ["send the right one only", "正しい方だけを送ってください"],
    ),
    (
        Code::DuplicateKey,
        Area::Registry,
        [
            "the same key or field twice",
            "同じキーまたは項目が重複しています",
        ],
        ["keep one of them", "一つだけ残してください"],
    ),
    (
        Code::Conflict,
        Area::Registry,
        [
            "a row would go that stored records refer to",
            "保存済みの記録から参照されている行がなくなります",
        ],
        [
            "send the row along; to add rows without removing others, use PATCH or kenko-fhir \
             registry load",
            "その行も含めて送ってください。ほかの行を残したまま追加するには PATCH または kenko-fhir registry load を使ってください",
        ],
    ),
    (
        Code::Conflict,
        Area::Fhir,
        [
            "different content with the same time of update as the stored record",
            "更新日時が保存済みの記録と同じで内容が異なります",
        ],
        [
            "send the right content with a later issued, or update the Observation by its id (PUT)",
            "正しい内容をより新しい issued で送るか、id を指定して Observation を更新（PUT）してください",
        ],
    ),
    (
        Code::RecordInconsistent,
        Area::Registry,
        [
            "values of a row that do not agree",
            "行の値どうしが矛盾しています",
        ],
        ["correct one of the values", "いずれかの値を直してください"],
    ),
    (
        Code::ParticipantUnknown,
        Area::Fhir,
        OF_THE_CODE,
        [
            "register the person in the list participants (PUT /exchange/registries/participants), \
             or send the Patient in the same Bundle",
            "一覧 participants に登録するか（PUT /exchange/registries/participants）、同じ Bundle で Patient を送ってください",
        ],
    ),
];

impl Code {
    /// Title of the code in an area.
    pub fn title_in(self, area: Area, lang: Lang) -> &'static str {
        let local = LOCAL
            .iter()
            .find(|local| (local.0, local.1) == (self, area));
        match local.map(|local| local.2[lang as usize]) {
            Some(title) if !title.is_empty() => title,
            _ => self.title(lang),
        }
    }

    /// Remedy of the code in an area.
    pub fn remedy_in(self, area: Area, lang: Lang) -> &'static str {
        let local = LOCAL
            .iter()
            .find(|local| (local.0, local.1) == (self, area));
        local.map_or_else(|| self.remedy(lang), |local| local.3[lang as usize])
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(d)?;
        Code::parse(&name).ok_or_else(|| serde::de::Error::custom("unknown fault code"))
    }
}

/// A place in a text: line and column count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Place {
    /// Line, from 1; 0 where there is no text.
    pub line: u32,
    /// Column in characters, from 1; 0 where there is no text.
    pub column: u32,
}

/// One fault of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// How bad it is. Usually [`Code::severity`]; lenient handling lowers `unknown-field`.
    pub severity: Severity,
    /// What it is.
    pub code: Code,
    /// JSON pointer (protocol, registries) or FHIRPath expression (FHIR).
    pub pointer: String,
    /// Line of the value, from 1; 0 where the input is not a text.
    pub line: u32,
    /// Column of the value in characters, from 1.
    pub column: u32,
    /// What the rule expects, in English; empty where the code says it all. Of `json`: why
    /// the text cannot be read on.
    pub expected: Cow<'static, str>,
    /// What was found, shortened; never more than [`FOUND_MAX`] characters.
    pub found: String,
    /// Where it was met.
    #[serde(default, skip_serializing_if = "Area::is_submission")]
    pub area: Area,
}

/// Why a text cannot be read as UTF-8.
pub const NOT_UTF8: &str = "not UTF-8; the text is in another encoding, such as CP932 (Shift_JIS)";

/// The most characters of the input that a fault quotes.
pub const FOUND_MAX: usize = 60;

/// The longest pointer of a fault, in bytes.
const POINTER_MAX: usize = 1000;

impl Area {
    /// Every area.
    pub const ALL: [Area; 4] = [Area::Submission, Area::Fhir, Area::Registry, Area::Encoding];

    fn is_submission(&self) -> bool {
        *self == Area::Submission
    }
}

impl Fault {
    /// A fault of `code` at `pointer`, with the severity of the code. A FHIRPath expression is
    /// of FHIR, a JSON pointer of a submission, unless it is said otherwise.
    pub fn new(code: Code, pointer: impl Into<String>, place: Place) -> Fault {
        let pointer = cut(pointer.into());
        let area = match pointer.starts_with('/') || pointer.is_empty() {
            true => Area::Submission,
            false => Area::Fhir,
        };
        Fault {
            severity: code.severity(),
            code,
            area,
            pointer,
            line: place.line,
            column: place.column,
            expected: Cow::Borrowed(""),
            found: String::new(),
        }
    }

    /// The fault of a text that a parser cannot read on, and its reason.
    pub fn syntax(pointer: impl Into<String>, place: Place, reason: &'static str) -> Fault {
        let fault = Fault::new(Code::Json, pointer, place).expected(reason);
        match reason {
            NOT_UTF8 => fault.area(Area::Encoding),
            _ => fault,
        }
    }

    /// The same fault, saying what was expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<Cow<'static, str>>) -> Fault {
        self.expected = expected.into();
        self
    }

    /// The same fault, quoting what was found.
    #[must_use]
    pub fn found(mut self, found: &str) -> Fault {
        self.found = shorten(found);
        self
    }

    /// The same fault, met in this area.
    #[must_use]
    pub fn area(mut self, area: Area) -> Fault {
        self.area = area;
        self
    }

    /// The expected value, in a language.
    pub fn expected_in(&self, lang: Lang) -> Cow<'_, str> {
        match lang {
            Lang::En => Cow::Borrowed(&self.expected),
            Lang::Ja => phrase::japanese(&self.expected),
        }
    }

    /// The found value, in a language: the input is quoted as it is, and described where it is of
    /// another type.
    pub fn found_in(&self, lang: Lang) -> Cow<'_, str> {
        match (lang, self.code) {
            (Lang::Ja, Code::Type) => phrase::japanese(&self.found),
            _ => Cow::Borrowed(&self.found),
        }
    }

    /// The same fault with another severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Fault {
        self.severity = severity;
        self
    }

    /// Whether it refuses the record.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The whole message: what, what was expected and found, what to do.
    pub fn message(&self, lang: Lang) -> String {
        let mut text = format!("{}: {}", self.code, self.code.title_in(self.area, lang));
        if !self.expected.is_empty() {
            text.push_str(match (self.code, lang) {
                // What stands there is the parser's reason.
                (Code::Json, _) => ": ",
                (_, Lang::En) => "; expected ",
                (_, Lang::Ja) => "。期待: ",
            });
            text.push_str(&self.expected_in(lang));
        }
        if !self.found.is_empty() {
            text.push_str(match lang {
                Lang::En => "; found ",
                Lang::Ja => "、実際: ",
            });
            text.push_str(&self.found_in(lang));
        }
        text.push_str(match lang {
            Lang::En => "; ",
            Lang::Ja => "。",
        });
        // What was ignored already needs no hint how to have it ignored.
        text.push_str(match self.code {
            Code::UnknownField if !self.is_error() => self.code.remedy(lang),
            code => code.remedy_in(self.area, lang),
        });
        text
    }
}

/// A pointer of at most [`POINTER_MAX`] bytes, `…` where it was cut: names in it may be as long as
/// the input says.
fn cut(mut pointer: String) -> String {
    if pointer.len() > POINTER_MAX {
        let end = (0..=POINTER_MAX)
            .rev()
            .find(|&at| pointer.is_char_boundary(at));
        pointer.truncate(end.unwrap_or_default());
        pointer.push('…');
        pointer.shrink_to_fit();
    }
    pointer
}

/// At most [`FOUND_MAX`] characters of `text`, control characters replaced, `…` where it was cut.
pub fn shorten(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == FOUND_MAX {
            out.push('…');
            break;
        }
        out.push(if c.is_control() { '\u{FFFD}' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_with_the_higher_weight_wins() {
        assert_eq!(Lang::from_accept(None), Lang::En);
        assert_eq!(Lang::from_accept(Some("ja")), Lang::Ja);
        assert_eq!(Lang::from_accept(Some("en;q=0.8, ja-JP;q=0.9")), Lang::Ja);
        assert_eq!(Lang::from_accept(Some("fr, en;q=0.3, ja;q=0.2")), Lang::En);
    }

    #[test]
    fn every_code_reads_back_by_its_name() {
        for &code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
        }
    }

    #[test]
    fn a_quote_of_the_input_is_short_and_printable() {
        assert_eq!(shorten("a\nb"), "a\u{FFFD}b");
        assert_eq!(shorten(&"x".repeat(1000)).chars().count(), FOUND_MAX + 1);
    }
}
