//! The invented makers and the models that participants use.

/// One row of the `devices` list.
pub(super) struct Model {
    pub(super) maker: &'static str,
    pub(super) number: &'static str,
    pub(super) maker_name: &'static str,
    pub(super) name: &'static str,
    /// `device_type_code`: 1 scale, 2 blood-pressure monitor, 3 activity monitor, 4 phone app.
    pub(super) kind: &'static str,
    pub(super) clock_correction: Option<&'static str>,
    /// `origin_of_time_code` of its records.
    pub(super) origin_of_time: &'static str,
    pub(super) conformance: &'static [&'static str],
    pub(super) accuracy: Option<&'static str>,
    /// Mean error and its quartiles, in hundredths of a percent.
    pub(super) error: Option<[i32; 3]>,
    /// `aggregation`, for models that count a day's activity.
    pub(super) aggregation: Option<&'static str>,
    /// What starts the serials of this model.
    pub(super) serial: &'static str,
}

const ACME: &str = "アクメ株式会社";
const HOSHI: &str = "星見計測工業株式会社";
const KUMO: &str = "雲乃上ソフトウェア合同会社";
const BY_APP: Option<&str> = Some("アプリ起動時に自動補正");

const fn model(maker: &'static str, number: &'static str, kind: &'static str) -> Model {
    Model {
        maker,
        number,
        maker_name: "",
        name: "",
        kind,
        clock_correction: None,
        origin_of_time: "0",
        conformance: &[],
        accuracy: None,
        error: None,
        aggregation: None,
        serial: "",
    }
}

/// Shows weight and body fat.
pub(super) static BODY_COMPOSITION: Model = Model {
    maker_name: ACME,
    name: "アクメ体組成計WS-100",
    clock_correction: BY_APP,
    origin_of_time: "1",
    conformance: &["IEEE 11073-10415", "Continua Design Guidelines 2016"],
    accuracy: Some("±0.1kg"),
    serial: "WS",
    ..model("ACME", "WS-100", "1")
};

/// Shows weight alone, in steps of 50 g.
pub(super) static PLAIN_SCALE: Model = Model {
    maker_name: HOSHI,
    name: "星見はかりTENBIN-2",
    accuracy: Some("±50g"),
    serial: "TB",
    ..model("HOSHIMI", "TENBIN-2", "1")
};

/// Cuff on the upper arm.
pub(super) static ARM_MONITOR: Model = Model {
    maker_name: ACME,
    name: "アクメ血圧計BP-200",
    clock_correction: BY_APP,
    origin_of_time: "1",
    conformance: &["IEEE 11073-10407", "Continua Design Guidelines 2016"],
    accuracy: Some("圧力±3mmHg以内、脈拍±5%以内"),
    serial: "BP",
    ..model("ACME", "BP-200", "2")
};

/// Cuff on the wrist.
pub(super) static WRIST_MONITOR: Model = Model {
    maker_name: HOSHI,
    name: "星見手首式血圧計MYAKU-7",
    accuracy: Some("圧力±3mmHg以内"),
    serial: "MY",
    ..model("HOSHIMI", "MYAKU-7", "2")
};

/// Worn on the belt; tells nearly everything the protocol has a field for.
pub(super) static ACTIVITY_MONITOR: Model = Model {
    maker_name: ACME,
    name: "アクメ活動量計AM-500",
    clock_correction: BY_APP,
    origin_of_time: "1",
    conformance: &["IEEE 11073-10441", "Continua Design Guidelines 2016"],
    accuracy: Some("歩数±3%以内"),
    error: Some([-120, -240, 30]),
    aggregation: Some("1分値の合計"),
    serial: "AM",
    ..model("ACME", "AM-500", "3")
};

/// Worn on the wrist.
pub(super) static WRISTBAND: Model = Model {
    maker_name: HOSHI,
    name: "星見腕輪AYUMI-3",
    clock_correction: Some("毎日0時に時刻サーバーと同期"),
    origin_of_time: "1",
    conformance: &["IEEE 11073-10441"],
    accuracy: Some("歩数±3%以内"),
    error: Some([80, -60, 210]),
    aggregation: Some("10秒値の合計"),
    serial: "AY",
    ..model("HOSHIMI", "AYUMI-3", "3")
};

/// An app: steps and distance only; its serial is an identifier of the phone.
pub(super) static PHONE_APP: Model = Model {
    maker_name: KUMO,
    name: "雲乃上おさんぽアプリ",
    clock_correction: Some("端末の時刻をそのまま使用"),
    aggregation: Some("OSの歩数計が示す1日の合計"),
    ..model("KUMONOUE", "OSANPO", "4")
};

/// All models, in the order of the list's key.
pub(super) static MODELS: [&Model; 7] = [
    &ACTIVITY_MONITOR,
    &ARM_MONITOR,
    &BODY_COMPOSITION,
    &WRISTBAND,
    &WRIST_MONITOR,
    &PLAIN_SCALE,
    &PHONE_APP,
];
