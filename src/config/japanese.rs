//! Help and mistakes of the command line in Japanese.
//!
//! The options are declared once, in English. This is the catalogue of those texts by paragraph; a
//! test walks all commands and holds that nothing is missing. The notes that clap adds to an option
//! (`[default: …]`) stay English.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

const HELP: &[(&str, &str)] = &[
    // The program.
    (
        "Bridge between Japan's health information exchange protocol (健康情報等交換規約) and HL7 FHIR R4.",
        "健康情報等交換規約と HL7 FHIR R4 をつなぐブリッジです。",
    ),
    (
        "Bridge between Japan's health information exchange protocol (健康情報等交換規約) and HL7 FHIR R4",
        "健康情報等交換規約と HL7 FHIR R4 をつなぐブリッジです",
    ),
    (
        "Exit codes: 0 done, 1 some input was refused, 2 wrong usage or configuration, 3 the system failed. Options are also environment variables KENKO_<OPTION> and keys of the TOML file (option > environment > file > default), except for --to, --as, --shape, --edition and -o. Logs go to stderr; RUST_LOG sets their level.",
        "終了コード: 0 完了、1 受理できない入力あり、2 使い方または設定の誤り、3 システムの障害。オプションは環境変数\nKENKO_<OPTION> と TOML ファイルのキーでも指定できます（優先順位: オプション > 環境変数 > ファイル > 既定値）。\nただし --to、--as、--shape、--edition、-o を除きます。ログは stderr に出力し、レベルは RUST_LOG で決まります。",
    ),
    ("Everywhere", "共通"),
    ("Format of the log on stderr", "stderr に出力するログの形式"),
    ("A line of text an event", "1 件 1 行のテキスト"),
    ("A JSON object a line", "1 行 1 件の JSON"),
    (
        "Prints every setting with its default as a commented TOML file, and ends",
        "すべての設定を既定値とともに、コメント付きの TOML ファイルとして表示して終了します",
    ),
    (
        "Says nothing where all goes well",
        "問題がなければ何も表示しません",
    ),
    (
        "Lists every fault; without it equal ones are listed ten times and counted beyond",
        "すべての不備を表示します（指定しなければ、同じ不備は 10 件まで表示し、残りは件数のみ）",
    ),
    (
        "File to which every fault is written as well, .csv or .json by its ending",
        "すべての不備を書き出すファイル（拡張子により .csv または .json）",
    ),
    (
        "Files or folders to check: JSON, NDJSON, registry lists, .gz and .zip of them; - for stdin",
        "検査するファイルまたはフォルダー: JSON、NDJSON、事前登録の一覧、およびその .gz と .zip（- は stdin）",
    ),
    (
        "Files or folders: submissions (JSON, NDJSON) and registry lists (CSV, JSON), .gz and .zip of them",
        "ファイルまたはフォルダー: 送信データ（JSON、NDJSON）、事前登録の一覧（CSV、JSON）、およびその .gz と .zip",
    ),
    (
        "Prints the columns with an example row instead of what is stored",
        "保存内容の代わりに、列名と記入例を 1 行表示します",
    ),
    (
        "TOML file of settings, with the names of the options as keys",
        "設定の TOML ファイル（キーはオプション名）",
    ),
    (
        "The database: a SQLite file, created where it is missing, or postgres://USER@HOST/DATABASE",
        "データベース: SQLite ファイル（なければ作成）、または postgres://USER@HOST/DATABASE",
    ),
    // Commands.
    (
        "Serves both sides over HTTP: /exchange for the protocol, /fhir for FHIR R4",
        "HTTP で提供します（規約は /exchange、FHIR R4 は /fhir）",
    ),
    (
        "Converts files from one side to the other, without a database",
        "データベースなしで、ファイルを規約と FHIR の間で変換します",
    ),
    (
        "Checks files and tells every fault with its line and column",
        "ファイルを検査し、すべての不備を行と文字位置とともに知らせます",
    ),
    (
        "Loads submissions and registries into the database",
        "送信データと事前登録情報をデータベースに読み込みます",
    ),
    (
        "Writes what the database holds as submissions or as FHIR NDJSON",
        "データベースの内容を送信データまたは FHIR NDJSON に書き出します",
    ),
    (
        "Loads and shows the six lists that are registered before data flows",
        "事前登録の 6 つの一覧を読み込み、表示します",
    ),
    (
        "Adds the rows of a file, each replacing the stored row of its key",
        "ファイルの行を追加します（同じキーの行は置き換えます）",
    ),
    (
        "Prints a list in the order of its keys",
        "一覧をキーの順に表示します",
    ),
    (
        "Brings the schema of the database up to date",
        "データベースのスキーマを最新にします",
    ),
    (
        "Takes a snapshot of a SQLite database while it is in use",
        "使用中の SQLite データベースのスナップショットをとります",
    ),
    ("Puts a snapshot back", "スナップショットを戻します"),
    (
        "Prints the OpenAPI 3.1 document of the HTTP interface",
        "HTTP インターフェースの OpenAPI 3.1 文書を表示します",
    ),
    (
        "Writes an invented cohort in protocol format, with its registries",
        "架空の集団を、事前登録情報とともに規約の形式で書き出します",
    ),
    // Options.
    (
        "Folder of mapping files that add record kinds, or replace those of the same name",
        "記録種別を追加する（同名のものは置き換える）マッピングファイルのフォルダー",
    ),
    (
        "Base of the project's own identifier systems, code systems and profiles",
        "独自の identifier、コード体系、プロファイルの URL の基底",
    ),
    (
        "Address and port; an IPv6 address stands in brackets; port 0 takes any free one",
        "アドレスとポート（IPv6 アドレスは角かっこで囲む。ポート 0 は空きポート）",
    ),
    (
        "The outer root of the server, for links; without it they follow the Host header",
        "リンクに使う、外から見たサーバーのルート URL（なければ Host ヘッダーに従う）",
    ),
    ("Who may call", "利用できる人"),
    (
        "Anyone who reaches the address, which must be a loopback one",
        "アドレスに到達できる人すべて（ループバックアドレスに限る）",
    ),
    (
        "Whether unknown consortia, participants and laboratories are refused or registered",
        "未登録のコンソーシアム、参加者、検査機関を拒否するか登録するか",
    ),
    (
        "Records that name them are refused",
        "それらを含む記録を拒否する",
    ),
    ("They are registered provisionally", "仮登録する"),
    (
        "Largest body taken, counted after decompression; k, M and G are powers of 1024",
        "受け取る本文の上限（展開後の大きさ。k、M、G は 1024 の累乗）",
    ),
    (
        "Most faults listed of a submission; beyond them, the first error of each record",
        "一つの送信データについて示す不備の上限（超えた分は記録ごとに最初の誤りのみ）",
    ),
    (
        "Most refused records kept of a submission beyond these faults; further ones are counted",
        "不備の上限を超えた後、一つの送信データについて保持する拒否された記録の上限（超えた分は件数のみ）",
    ),
    (
        "Days that refused records wait in the quarantine before they are deleted",
        "拒否された記録を隔離一覧に置いておく日数（過ぎると削除）",
    ),
    (
        "Most entries of a batch or transaction Bundle",
        "batch、transaction の Bundle のエントリー数の上限",
    ),
    (
        "Most that a batch or transaction Bundle is answered; entries beyond it are 422",
        "batch・transaction Bundle への応答の合計サイズの上限（超えた分のエントリーは 422）",
    ),
    (
        "Largest JSON Patch, and the most that the patches of a request copy and move",
        "JSON Patch の大きさと、一つのリクエストのパッチが複製・移動する量の上限",
    ),
    (
        "Most values of a search, all its parameters together",
        "一回の検索で指定できる値の数の上限（すべてのパラメータの合計）",
    ),
    (
        "Most references that a chain (a.b.c) or nested _has of a search leads along",
        "検索のチェーン（a.b.c）や入れ子の _has でたどれる参照の段数の上限",
    ),
    (
        "Most references that a search leads along, each counted for every type it may lead to",
        "一回の検索でたどれる参照の数の上限（参照先になり得る型ごとに数える）",
    ),
    (
        "Origin that browsers may call from; repeatable, none by default",
        "ブラウザーからの利用を許すオリジン（複数指定可、既定ではなし）",
    ),
    (
        "Loads a small invented cohort into an empty database",
        "空のデータベースに小さな架空の集団を読み込む",
    ),
    (
        "Side to convert to; told from the input when absent",
        "変換先（指定しなければ入力から判断）",
    ),
    ("FHIR R4", "FHIR R4"),
    ("The exchange protocol", "交換規約"),
    ("Form of FHIR output", "FHIR 出力の形式"),
    ("A collection Bundle", "collection の Bundle"),
    (
        "A transaction Bundle that any FHIR server takes",
        "任意の FHIR サーバーに送れる transaction の Bundle",
    ),
    (
        "A resource a line, the envelope's Bundle without entries first",
        "一行一リソース（最初にエントリーのない Bundle）",
    ),
    ("Shape of FHIR output", "FHIR 出力の構成"),
    (
        "One, with components",
        "一つの記録を component のある一つの Observation にする",
    ),
    ("One for each quantity", "量ごとに Observation を分ける"),
    (
        "Edition of protocol output, which decides some field names",
        "規約出力の版（一部の項目名が変わる）",
    ),
    (
        "Folder of the registries: {list}.json or {list}.csv",
        "事前登録情報のフォルダー（{list}.json または {list}.csv）",
    ),
    (
        "Writes the good records where others are refused; unknown fields are warnings",
        "不備のある記録を除いて書き出す（未知の項目は警告のみ）",
    ),
    (
        "File for the OperationOutcome of a conversion to the protocol; stderr when absent",
        "規約への変換の OperationOutcome を書くファイル（なければ stderr）",
    ),
    (
        "File or folder to write to; stdout when absent",
        "書き出すファイルまたはフォルダー（なければ stdout）",
    ),
    (
        "Files to convert (.gz too); - or none for stdin",
        "変換するファイル（.gz も可。- または省略で stdin）",
    ),
    (
        "What the files are; told from each input when absent",
        "ファイルの種類（指定しなければ入力から判断）",
    ),
    (
        "Files to check (.gz too, NDJSON too); - for stdin",
        "検査するファイル（.gz、NDJSON も可。- は stdin）",
    ),
    (
        "Stores the good records and quarantines the refused ones",
        "不備のない記録を保存し、拒否された記録を隔離一覧に置く",
    ),
    (
        "Files or folders: submissions (.json, .ndjson, .gz, .zip) and registries (CSV, JSON)",
        "ファイルまたはフォルダー: 送信データ（.json、.ndjson、.gz、.zip）と事前登録情報（CSV、JSON）",
    ),
    ("What to write", "書き出すもの"),
    (
        "A submission a consortium: {consortium_id}.json",
        "コンソーシアムごとの送信データ: {consortium_id}.json",
    ),
    (
        "FHIR resources: {Type}.ndjson",
        "FHIR リソース: {Type}.ndjson",
    ),
    ("Only this consortium", "このコンソーシアムのみ"),
    ("Only this participant", "この参加者のみ"),
    ("Only this record kind", "この記録種別のみ"),
    (
        "Only what was received or changed then or later (RFC 3339)",
        "この時刻以降に受信または変更したもののみ（RFC 3339）",
    ),
    (
        "Only what was measured on this day or later (yyyy-mm-dd, JST)",
        "この日以降に計測したもののみ（yyyy-mm-dd、日本標準時）",
    ),
    (
        "Only what was measured before this day (yyyy-mm-dd, JST)",
        "この日より前に計測したもののみ（yyyy-mm-dd、日本標準時）",
    ),
    (
        "Folder to write to, made where it is missing",
        "書き出すフォルダー（なければ作成）",
    ),
    ("The list", "一覧の名前"),
    (
        "CSV (UTF-8 or CP932) or JSON file",
        "CSV（UTF-8 または CP932）か JSON のファイル",
    ),
    ("How to print it", "表示の形式"),
    ("A JSON array", "JSON の配列"),
    ("CSV with a header row", "見出し行のある CSV"),
    ("File to write", "書き出すファイル"),
    ("Snapshot to put back", "戻すスナップショット"),
    ("How many people take part", "参加者の人数"),
    ("How many days are measured", "計測する日数"),
    (
        "What tells one cohort of this size from another",
        "同じ大きさの集団を区別する番号",
    ),
    // Waiting.
    ("Database", "データベース"),
    (
        "Longest time to connect to PostgreSQL; `/health/ready` waits as long",
        "PostgreSQL への接続を待つ時間の上限（`/health/ready` も同じ）",
    ),
    (
        "Longest time of a statement that reads, and of any on PostgreSQL",
        "読み取りの文（PostgreSQL ではすべての文）の実行時間の上限",
    ),
    (
        "Most steps of SQLite's virtual machine that a statement which reads takes",
        "読み取りの文が実行できる SQLite 仮想マシンの命令数の上限",
    ),
    (
        "Time after which a statement that reads counts as slow: it begins again among the slow ones",
        "読み取りの文を低速とみなすまでの時間（低速な文の枠で初めからやり直す）",
    ),
    (
        "Most statements at a time that read and are not slow",
        "低速でない読み取りの文を同時に実行する数の上限",
    ),
    (
        "Most slow statements at a time; further ones wait for them, and nothing else does",
        "低速な文を同時に実行する数の上限（超えた分は待ち、ほかの処理は待たない）",
    ),
    (
        "Longest wait for the right to write while another process writes",
        "ほかのプロセスの書き込みが終わるのを待つ時間の上限",
    ),
    (
        "Longest time that a transaction on PostgreSQL waits for its next statement",
        "PostgreSQL のトランザクションが次の文を待つ時間の上限",
    ),
    (
        "Longest wait for a connection while others of this process use all of them",
        "このプロセスの接続がすべて使用中のときに空きを待つ時間の上限",
    ),
    (
        "Longest time of a statement on PostgreSQL that brings the schema up to date",
        "PostgreSQL のスキーマを最新にする文の実行時間の上限",
    ),
    (
        "Longest time from SIGTERM or SIGINT to the end, whatever is in flight or hangs",
        "SIGTERM、SIGINT から終了までの時間の上限（処理中のものや応答しないものがあっても終了）",
    ),
    (
        "Size of a SQLite file's write-ahead log at which writes wait until it is emptied; that is tried from a third of it on",
        "SQLite の先行書き込みログ（-wal）の上限。達すると空になるまで書き込みを待たせます（その 3 分の 1 から空にし始めます）",
    ),
    // Connections.
    ("Connections", "接続"),
    (
        "Most connections; beyond them the one that idles longest is closed, else 503",
        "接続数の上限（超えると最も長く使われていない接続を閉じ、なければ 503）",
    ),
    (
        "Most connections from one address; beyond them 429",
        "一つのアドレスからの接続数の上限（超えると 429）",
    ),
    (
        "Address of a proxy that many clients come through, free of the limits per address; repeatable",
        "多くのクライアントを中継するプロキシのアドレス（アドレスごとの上限の対象外。複数指定可）",
    ),
    (
        "Longest time that the head of a request may take to come",
        "リクエストのヘッダーを受け取り終えるまでの時間の上限",
    ),
    (
        "Longest time that a connection is kept without a request",
        "リクエストのない接続を保つ時間の上限",
    ),
    (
        "Longest time that a client may take nothing of its answer",
        "クライアントが応答をまったく受け取らない時間の上限",
    ),
    (
        "Bytes per second that a body must bring on average, once --body-grace is used up; else 408",
        "本文の受信速度の下限（1 秒あたりのバイト数。--body-grace を使い切ると 408）",
    ),
    (
        "Longest time that a body may lag behind --body-rate",
        "本文の受信が --body-rate より遅れてよい時間の上限",
    ),
    (
        "Most bodies over 16 KB that are received or parsed at once; further ones wait, then 503",
        "同時に受信・解析する 16 KB を超える本文の数の上限（超えた分は待ち、空かなければ 503）",
    ),
    (
        "Most of those from one address; beyond them 429",
        "そのうち同じアドレスから受けるものの上限（超えると 429）",
    ),
    (
        "Memory for the parsing of large bodies, all together; further ones wait, then 503",
        "大きな本文の解析に使うメモリの合計（超えた分は待ち、空かなければ 503）",
    ),
    (
        "Temporary files of bodies being received, all together (in TMPDIR); beyond it 503",
        "受信中の本文の一時ファイル（TMPDIR）の合計サイズの上限（超えると 503）",
    ),
    // Below the options.
    (
        "The first line on stdout is \"listening on http://ADDR\", once it answers. SIGTERM and SIGINT finish what is in flight, for as long as --shutdown-timeout allows; a second one ends at once.",
        "応答できるようになると、stdout の最初の行に \"listening on http://ADDR\" と表示します。SIGTERM と\nSIGINT では、--shutdown-timeout まで処理中のものを待って終了し、二度目の SIGTERM、SIGINT ではすぐに終了します。",
    ),
    (
        "Several inputs give one document a line; with -o naming a folder (one that stands there, or a name that ends in /), one file each. A submission with faults writes nothing, and the faults are on stderr, one a line: FILE:LINE:COLUMN: POINTER: message.",
        "複数の入力は一行に一文書を書き出します。-o がフォルダー（既存のもの、または / で終わる名前）なら一つずつ\nファイルにします。不備のある送信データは書き出さず、不備を一行ずつ stderr に表示します:\nFILE:LINE:COLUMN: POINTER: メッセージ",
    ),
    (
        "A line a fault on stderr, FILE:LINE:COLUMN: POINTER: message, with \"warning: \" before the message of a warning; in Japanese where LC_ALL, LC_MESSAGES or LANG says ja. Warnings alone exit with 0.",
        "不備を一行ずつ stderr に表示します: FILE:LINE:COLUMN: POINTER: メッセージ（警告のメッセージには \"warning: \" が\n付きます）。LC_ALL、LC_MESSAGES、LANG が ja なら日本語です。警告のみなら終了コードは 0 です。",
    ),
    (
        "Registries of a folder are loaded before its submissions. What is there already is unchanged, so an import that was interrupted is simply run again.",
        "フォルダーの事前登録情報は送信データより先に読み込みます。すでにあるものは変わらないので、中断した読み込みは\nもう一度実行するだけで続けられます。",
    ),
    (
        "No server may be running on the database.",
        "このデータベースを使うサーバーを止めてから実行してください。",
    ),
    (
        "The same arguments give the same bytes on every machine. All people are invented.",
        "同じ引数からは、どのコンピューターでも同じ内容ができます。人物はすべて架空です。",
    ),
];

const TEMPLATE: &str =
    "{before-help}{about-with-newline}\n使い方: {usage}\n\n{all-args}{after-help}";

/// The command with all its texts in Japanese.
pub(super) fn japanese(command: Command) -> Command {
    let has_version = command.get_version().is_some();
    let mut command = below(command);
    if has_version {
        let version = Arg::new("version").short('V').long("version");
        command = command.disable_version_flag(true).arg(
            version
                .action(ArgAction::Version)
                .help("バージョンを表示します")
                .help_heading("オプション"),
        );
    }
    command
}

fn below(command: Command) -> Command {
    let about = command.get_about().map(ToString::to_string);
    let after = command.get_after_help().map(ToString::to_string);
    let help = Arg::new("help").short('h').long("help");
    let mut command = command
        .help_template(TEMPLATE)
        .subcommand_help_heading("コマンド")
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .mut_args(argument)
        .mut_subcommands(below)
        .arg(
            help.action(ArgAction::Help)
                .help("ヘルプを表示します")
                .help_heading("オプション"),
        );
    if let Some(about) = about {
        command = command.about(text(&about)).long_about(None::<&str>);
    }
    if let Some(after) = after {
        command = command.after_help(paragraphs(&after));
    }
    command
}

fn argument(arg: Arg) -> Arg {
    let help = arg.get_help().map(ToString::to_string);
    let heading = match arg.get_help_heading() {
        Some(heading) => text(heading),
        None if arg.is_positional() => "引数".to_owned(),
        None => "オプション".to_owned(),
    };
    let mut told = help.as_deref().map(text).unwrap_or_default();
    let takes_value = arg.get_action().takes_values();
    if takes_value {
        // clap would write these in its own words.
        for value in arg.get_possible_values() {
            let of = value.get_help().map(ToString::to_string);
            let of = of.map(|of| format!(": {}", text(&of))).unwrap_or_default();
            told.push_str(&format!("\n- {}{of}", value.get_name()));
        }
    }
    let arg = arg.help_heading(heading).long_help(None::<&str>).help(told);
    match takes_value {
        true => arg.hide_possible_values(true),
        false => arg,
    }
}

/// A text of the catalogue, wherever its lines break.
fn text(english: &str) -> String {
    let plain = english.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = HELP.iter().find(|(text, _)| *text == plain);
    found.map_or_else(
        || english.to_owned(),
        |(_, japanese)| (*japanese).to_owned(),
    )
}

/// The paragraphs below the options, the first of which is an example.
fn paragraphs(english: &str) -> String {
    let paragraphs =
        english
            .split("\n\n")
            .map(|paragraph| match paragraph.strip_prefix("Example:") {
                Some(example) => format!("例:{example}"),
                None => text(paragraph),
            });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// Mistake of the command line, in Japanese; nothing where it is no mistake.
pub(super) fn mistake(error: &clap::Error) -> Option<String> {
    let told = |kind| error.get(kind).map(joined).unwrap_or_default();
    let argument = told(ContextKind::InvalidArg);
    let value = told(ContextKind::InvalidValue);
    let mut out = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
        ErrorKind::UnknownArgument => format!("引数「{argument}」はありません"),
        ErrorKind::InvalidSubcommand => {
            format!(
                "コマンド「{}」はありません",
                told(ContextKind::InvalidSubcommand)
            )
        }
        ErrorKind::MissingSubcommand => "コマンドを指定してください".to_owned(),
        ErrorKind::MissingRequiredArgument => format!("{argument} を指定してください"),
        ErrorKind::ArgumentConflict => format!("{argument} はほかの指定と同時に使えません"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{argument} に値を指定してください"),
        ErrorKind::InvalidValue => format!("「{value}」は {argument} の値として使えません"),
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            let reason = reason
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            format!("「{value}」は {argument} の値として正しくありません{reason}")
        }
        ErrorKind::TooManyValues => format!("{argument} の値「{value}」が余分です"),
        _ => format!("コマンドラインが正しくありません（{argument}）"),
    };
    for (kind, before) in [
        (ContextKind::ValidValue, "使える値: "),
        (ContextKind::ValidSubcommand, "使えるコマンド: "),
        (ContextKind::SuggestedArg, "もしかして: "),
        (ContextKind::SuggestedSubcommand, "もしかして: "),
        (ContextKind::SuggestedValue, "もしかして: "),
    ] {
        let told = told(kind);
        if !told.is_empty() {
            out.push_str(&format!("\n  {before}{told}"));
        }
    }
    out.push_str("\n使い方は --help で表示します");
    Some(out)
}

fn joined(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        ContextValue::StyledStr(text) => text.to_string(),
        ContextValue::StyledStrs(texts) => {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            texts.join(", ")
        }
        ContextValue::Number(number) => number.to_string(),
        ContextValue::Bool(yes) => yes.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn check(command: &Command, missing: &mut Vec<String>) {
        let texts = command
            .get_about()
            .into_iter()
            .chain(command.get_arguments().filter_map(Arg::get_help));
        let mut texts: Vec<String> = texts.map(ToString::to_string).collect();
        texts.extend(
            command
                .get_arguments()
                .filter_map(|a| a.get_help_heading().map(str::to_owned)),
        );
        let after = command.get_after_help().map(ToString::to_string);
        let after = after.unwrap_or_default();
        let paragraphs = after
            .split("\n\n")
            .filter(|p| !p.is_empty() && !p.starts_with("例:"));
        texts.extend(paragraphs.map(str::to_owned));
        missing.extend(texts.into_iter().filter(|text| text.is_ascii()));
        command
            .get_subcommands()
            .for_each(|command| check(command, missing));
    }

    #[test]
    fn every_text_of_the_help_has_its_japanese() {
        let mut missing = Vec::new();
        check(&japanese(crate::config::Cli::command()), &mut missing);
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn the_japanese_commands_take_what_the_english_ones_take() {
        japanese(crate::config::Cli::command()).debug_assert();
    }

    #[test]
    fn mistakes_are_told_in_japanese() {
        for (line, told) in [
            ("serve --x", "引数「--x」はありません"),
            (
                "serve --bundle-max many",
                "「many」は --bundle-max <NUMBER> の値として正しくありません",
            ),
            (
                "export --to paper",
                "「paper」は --to <TO> の値として使えません",
            ),
            ("frobnicate", "コマンド「frobnicate」はありません"),
            ("backup", "<FILE> を指定してください"),
        ] {
            let arguments = ["kenko-fhir"].into_iter().chain(line.split(' '));
            let error = japanese(crate::config::Cli::command()).try_get_matches_from(arguments);
            let text = mistake(&error.unwrap_err()).unwrap();
            assert!(text.starts_with(told), "{line}: {text}");
        }
        let help = japanese(crate::config::Cli::command());
        let help = help.try_get_matches_from(["kenko-fhir", "serve", "--help"]);
        let help = help.unwrap_err();
        assert!(mistake(&help).is_none());
        let help = help.to_string();
        assert!(
            help.contains("使い方: ") && help.contains("- strict: それらを含む記録を拒否する"),
            "{help}"
        );
        assert!(!help.contains("Possible values"), "{help}");
    }
}
