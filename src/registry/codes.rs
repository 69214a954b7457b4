//! The code lists of the registries. The Japanese texts are those of the protocol's tables.

/// One code of a list, with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeEntry {
    /// The code as it is written.
    pub code: &'static str,
    /// Its meaning in Japanese.
    pub ja: &'static str,
    /// Its meaning in English.
    pub en: &'static str,
}

/// An entry, short enough for one line of a table.
pub(super) const fn entry(code: &'static str, ja: &'static str, en: &'static str) -> CodeEntry {
    CodeEntry { code, ja, en }
}

/// `sex_code`
pub(super) const SEXES: &[CodeEntry] = &[
    entry("0", "不明", "not known"),
    entry("1", "男", "male"),
    entry("2", "女", "female"),
    entry("9", "適用不能", "not applicable"),
];

/// `commute_code`
pub(super) const COMMUTES: &[CodeEntry] = &[
    entry("0", "なし", "none"),
    entry("1", "徒歩", "on foot"),
    entry("2", "自転車", "bicycle"),
    entry("3", "公共交通機関", "public transport"),
    entry("4", "自動車", "car"),
    entry("9", "その他", "other"),
];

/// `medication_codes`
pub(super) const MEDICATIONS: &[CodeEntry] = &[
    entry("0", "なし", "none"),
    entry("1", "経口血糖降下薬", "oral hypoglycaemic"),
    entry("2", "インスリン", "insulin"),
    entry("3", "透析", "dialysis"),
    entry("4", "降圧薬", "antihypertensive"),
    entry("5", "脂質低下薬", "lipid-lowering"),
    entry("9", "その他", "other"),
];

/// `measurement_position_code`: where an activity monitor is worn.
pub const WEAR_POSITIONS: &[CodeEntry] = &[
    entry("10", "ポケット（胸）", "pocket (chest)"),
    entry("11", "ポケット（腹）", "pocket (abdomen)"),
    entry("20", "吊り下げて利用（首）", "hung from the neck"),
    entry("21", "吊り下げて利用（ベルトまわり）", "hung from the belt"),
    entry("30", "利き手", "worn on the dominant wrist"),
    entry("31", "利き手の反対", "worn on the other wrist"),
    entry("40", "鞄", "carried in a bag"),
    entry("50", "その他", "other"),
];

/// `study_arm_code`
pub(super) const STUDY_ARMS: &[CodeEntry] = &[
    entry("1", "介入群", "intervention"),
    entry("2", "対照群", "control"),
];

/// `consent_code` (access specification §2)
pub(super) const CONSENTS: &[CodeEntry] = &[
    entry("0", "同意なし", "none"),
    entry(
        "1",
        "コンソーシアム内での顕名利用",
        "named use within the consortium",
    ),
    entry("2", "匿名化利用も可", "also de-identified use"),
    entry(
        "3",
        "Consent が指定する組織での顕名利用も可",
        "also named use by the organizations that a Consent names",
    ),
];

/// `device_type_code`
pub const DEVICE_TYPES: &[CodeEntry] = &[
    entry("1", "体重計", "weighing scale"),
    entry("2", "血圧計", "blood-pressure monitor"),
    entry("3", "活動量計", "activity monitor"),
    entry("4", "スマートフォンアプリ", "phone app"),
];

/// `method_class_code`
pub(super) const METHOD_CLASSES: &[CodeEntry] = &[
    entry("1", "免疫学的方法", "immunoassay"),
    entry("2", "HPLC", "HPLC"),
    entry("3", "酵素法", "enzymatic"),
    entry("9", "その他", "other"),
];
