//! Promises of [`load`](super::load): layers, and every problem in words.

use std::path::PathBuf;

use super::*;

/// A directory with a `jobs.toml`, and sources that read it.
struct Written {
    directory: tempfile::TempDir,
    sources: Sources,
}

fn file(text: &str) -> Written {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.toml");
    std::fs::write(&path, text).unwrap();
    Written { directory, sources: Sources { file: Some(path), ..Sources::default() } }
}

impl Written {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn flag(mut self, name: &str, key: &str, value: &str) -> Self {
        self.sources = self.sources.with_flag(Flag::new(name, key, value));
        self
    }

    fn load(&self) -> Config {
        load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is wrong, without the directory of the file.
    fn error(&self) -> String {
        self.clean(&load(&self.sources).expect_err("the configuration was accepted").to_string())
    }

    fn warnings(&self) -> Vec<String> {
        self.load().warnings.iter().map(|warning| self.clean(&warning.to_string())).collect()
    }

    fn clean(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

/// Where `key` came from and its value.
fn setting(written: &Written, key: &str) -> (String, String) {
    let all = written.load().effective();
    let setting = all.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key} in {all:?}"));
    (setting.text(), written.clean(&setting.from.to_string()))
}

fn pair(value: &str, from: &str) -> (String, String) {
    (value.to_owned(), from.to_owned())
}

const NIGHTLY: &str = "[[job]]\nname = \"nightly\"\n";

#[test]
fn defaults_are_sound() {
    let config = load(&Sources::default()).unwrap();
    assert_eq!(config.api.base_url.as_str(), "https://api.tryprofound.com/");
    assert_eq!(config.api.reserve_requests, 60);
    assert_eq!(config.destination.location(), Ok(Location::Local("./lake".into())));
    assert_eq!(config.destination.compression, Compression::Zstd(3));
    assert!(config.jobs.is_empty() && config.warnings.is_empty());
}

#[test]
fn later_layers_win() {
    let written = file("[api]\nconcurrency = 2\nreserve_requests = 10\n\n[destination]\nurl = \"./here\"\n")
        .variable("PROFOUND_EXPORT_API__CONCURRENCY", "3")
        .variable("PROFOUND_EXPORT_DESTINATION__URL", "./there")
        .flag("--destination", "destination.url", "./elsewhere");
    assert_eq!(setting(&written, "api.reserve_requests"), pair("10", "jobs.toml:3"));
    assert_eq!(setting(&written, "api.concurrency"), pair("3", "PROFOUND_EXPORT_API__CONCURRENCY"));
    assert_eq!(setting(&written, "destination.url"), pair("\"./elsewhere\"", "--destination"));
    assert_eq!(setting(&written, "api.idle_timeout"), pair("\"5m\"", "default"));
    assert_eq!(setting(&written, "api.key_file"), pair("-", "default"));
}

#[test]
fn variables_and_flags_reach_one_job_by_its_name() {
    let text = format!("{NIGHTLY}cron = \"0 6 * * *\"\n\n[[job]]\nname = \"week-end\"\n");
    let written = file(&text).variable("PROFOUND_EXPORT_JOB__WEEK_END__CRON", "0 6 * * 6").flag(
        "--streams",
        "job.nightly.streams",
        "[\"minimal\"]",
    );
    let config = written.load();
    assert_eq!(config.job("nightly").unwrap().cron.as_deref(), Some("0 6 * * *"));
    assert_eq!(config.job("nightly").unwrap().streams, ["minimal"]);
    assert_eq!(config.job("week-end").unwrap().cron.as_deref(), Some("0 6 * * 6"));
    assert_eq!(setting(&written, "job.nightly.cron"), pair("\"0 6 * * *\"", "jobs.toml:3"));
    assert_eq!(setting(&written, "job.nightly.streams"), pair("[\"minimal\"]", "--streams"));
    assert_eq!(setting(&written, "job.week-end.cron").1, "PROFOUND_EXPORT_JOB__WEEK_END__CRON");
}

#[test]
fn jobs_keep_their_order() {
    let text: String = (0..12).map(|index| format!("[[job]]\nname = \"job{index}\"\n")).collect();
    let names: Vec<String> = file(&text).load().jobs.into_iter().map(|job| job.name).collect();
    assert_eq!(names, (0..12).map(|index| format!("job{index}")).collect::<Vec<_>>());
}

#[test]
fn variables_without_two_underscores_are_not_settings() {
    let written = file("").variable("PROFOUND_EXPORT_SERVICE_HOST", "10.0.0.1").variable("PROFOUND_EXPORT_PORT", "tcp");
    assert!(written.warnings().is_empty());
}

#[test]
fn variable_one_underscore_away_from_a_setting_is_a_warning() {
    let warnings = file("")
        .variable("PROFOUND_EXPORT_API_BASE_URL", "http://localhost")
        .variable("PROFOUND_EXPORT_API_KEY", "s3cr3t")
        .warnings();
    insta::assert_snapshot!(warnings.join("\n\n"));
}

#[test]
fn unknown_key_names_the_nearest_known_one() {
    let written = file("[api]\nconcurency = 4\n");
    insta::assert_snapshot!(written.error());
}

#[test]
fn unknown_variable_names_the_nearest_known_one() {
    let written = file(NIGHTLY)
        .variable("PROFOUND_EXPORT_API__CONCURENCY", "4")
        .variable("PROFOUND_EXPORT_JOB__NIGHTLI__CRON", "0 6 * * *")
        .variable("PROFOUND_EXPORT_JOB__NIGHTLY__CORN", "0 6 * * *")
        .variable("PROFOUND_EXPORT_DESTINATON__URL", "./lake");
    insta::assert_snapshot!(written.error());
}

#[test]
fn unknown_key_that_belongs_elsewhere_names_its_section() {
    let written = file("concurrency = 4\nstreams = [\"core\"]\n[spool]\npartition = \"day\"\n[weather]\nrain = true\n");
    insta::assert_snapshot!(written.error());
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let written = file(
        r#"
[api]
base_url = "api.example.com"
auth = "basic"
concurrency = "four"
reserve_requests = -1
idle_timeout = 30
key_expires = "next year"
event_streams = "yes"
max_window = "1y"
key_file = 7

[destination]
url = "s3:/bucket"
compression = "zstd(42)"
partition = "week"

[spool]
max_bytes = "8 gigabytes"

[[job]]
name = "Nightly Job"
cron = "0 25 * * *"
timezone = "America/New_Yrok"
streams = ["cor", "promts"]
assets = "Acme"
start = "2026-02-30"
lookback = "36h"
weekly_refresh_min_categories = "many"
deadline = 4
"#,
    )
    .variable("PROFOUND_EXPORT_API__CONNECT_TIMEOUT", "10")
    .flag("--reserve", "api.reserve_requests", "many");
    insta::assert_snapshot!(written.error());
}

#[test]
fn example_of_a_set_flag_names_the_setting_too() {
    let error = file("").flag("--set", "spool.max_bytes", "20KB").error();
    assert!(error.contains("help: write for example `--set spool.max_bytes=8GiB`"), "{error}");
}

#[test]
fn key_in_the_file_is_refused_and_never_repeated() {
    for text in [
        "key = \"s3cr3t\"",
        "[api]\nkey = \"s3cr3t\"",
        "[api]\nAPI_KEY = \"s3cr3t\"",
        "api.key = \"s3cr3t\"",
        "[auth]\napi_key = \"s3cr3t\"",
        "[[job]]\nname = \"nightly\"\napi_key = \"s3cr3t\"",
    ] {
        let error = file(text).error();
        assert!(error.contains("key_file") && error.contains("PROFOUND_API_KEY"), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
    let error = file("[api]\nkey_file = \"s3cr3t-0123456789abcdef0123\"").error();
    assert!(error.contains("the key itself") && !error.contains("s3cr3t"), "{error}");
    let error = file("").variable("PROFOUND_EXPORT_API__KEY", "s3cr3t").error();
    assert!(error.contains("never stands among the settings") && !error.contains("s3cr3t"), "{error}");
    insta::assert_snapshot!(file("[api]\nkey = \"s3cr3t\"").error());
}

#[test]
fn jobs_without_a_name_or_with_the_same_name_are_refused() {
    let written = file("[[job]]\ncron = \"0 6 * * *\"\n[[job]]\nname = \"a\"\n[[job]]\nname = \"a\"\n");
    insta::assert_snapshot!(written.error());
}

#[test]
fn one_bracket_too_few_is_told() {
    insta::assert_snapshot!(file("[job]\nname = \"nightly\"\n").error());
}

#[test]
fn broken_toml_names_its_line() {
    let error = file("[api]\nconcurrency = 4\nauth = header\n").error();
    assert!(error.contains("jobs.toml:3") && error.contains("not TOML"), "{error}");
    let error = file("[api]\nconcurrency = 4\nconcurrency = 5\n").error();
    assert!(error.contains("jobs.toml:3") && error.contains("duplicate"), "{error}");
}

#[test]
fn missing_file_says_how_to_get_one() {
    let sources = Sources { file: Some(PathBuf::from("/nowhere/jobs.toml")), ..Sources::default() };
    insta::assert_snapshot!(load(&sources).unwrap_err());
}

#[test]
fn file_that_is_not_text_is_named() {
    let written = file("");
    std::fs::write(written.sources.file.as_ref().unwrap(), [0xff, 0xfe]).unwrap();
    assert!(written.error().contains("not UTF-8"));
    let sources = Sources { file: Some(written.directory.path().to_owned()), ..Sources::default() };
    assert!(load(&sources).unwrap_err().to_string().contains("this is a directory"));
}

#[test]
fn dates_read_with_and_without_quotes() {
    for date in ["2026-03-01", "\"2026-03-01\""] {
        let config = file(&format!("[api]\nkey_expires = {date}\n{NIGHTLY}start = {date}\n")).load();
        assert_eq!(config.jobs[0].start, "2026-03-01".parse().ok());
        assert_eq!(config.api.key_expires, "2026-03-01".parse().ok());
    }
    let written = file(NIGHTLY).variable("PROFOUND_EXPORT_JOB__NIGHTLY__START", "2026-03-01");
    assert_eq!(written.load().jobs[0].start, "2026-03-01".parse().ok());
}

#[test]
fn store_options_are_text_however_they_are_written() {
    let written = file("[destination]\nurl = \"s3://bucket\"\noptions = { allow_http = true, region = \"eu\" }\n")
        .variable("PROFOUND_EXPORT_DESTINATION__OPTIONS__SECRET_ACCESS_KEY", "0012")
        .variable("PROFOUND_EXPORT_DESTINATION__OPTIONS__ENDPOINT", "http://localhost:9000");
    let config = written.load();
    let options: Vec<_> = config.destination.options.iter().collect();
    assert!(options.contains(&("allow_http", "true")), "{options:?}");
    assert!(options.contains(&("secret_access_key", "0012")), "{options:?}");
    let (shown, from) = setting(&written, "destination.options.secret_access_key");
    assert_eq!(
        (shown.as_str(), from.as_str()),
        ("\"********\"", "PROFOUND_EXPORT_DESTINATION__OPTIONS__SECRET_ACCESS_KEY")
    );
    assert!(!format!("{config:?}").contains("0012"));
}

#[test]
fn options_given_as_one_table_name_where_the_table_stands() {
    let name = "PROFOUND_EXPORT_DESTINATION__OPTIONS";
    let written = file("[destination]\nurl = \"s3://bucket\"\n").variable(name, "{ region = \"eu\" }");
    assert_eq!(setting(&written, "destination.options.region"), pair("\"eu\"", name));
}

#[test]
fn unknown_store_option_names_the_nearest_known_one_and_no_value() {
    let written = file(
        "[destination]\nurl = \"s3://bucket\"\n[destination.options]\nregoin = \"eu\"\nsecret_acess_key = \"s3cr3t\"\nendpoint = \"http://localhost\"\ntoken = [\"s3cr3t\"]\n",
    );
    assert!(!written.error().contains("s3cr3t"));
    insta::assert_snapshot!(written.error());
}

#[test]
fn doubtful_settings_are_warnings() {
    let written = file(
        "[api]\nbase_url = \"http://api.example.com\"\nauth = \"query\"\nreserve_requests = 600\n[destination]\noptions = { region = \"eu\" }\n[[job]]\nname = \"nightly\"\ntimezone = \"EST\"\n",
    );
    insta::assert_snapshot!(written.warnings().join("\n\n"));
}

#[test]
fn unknown_job_names_the_nearest_known_one() {
    let config = file(NIGHTLY).load();
    assert_eq!(config.job("nigthly").unwrap_err().instead, "did you mean `nightly`?");
    assert!(load(&Sources::default()).unwrap().job("nightly").unwrap_err().instead.contains("init"));
}

#[test]
fn shipped_file_names_the_schema_and_validates_against_it() {
    assert!(template().starts_with("#:schema ./docs/jobs.schema.json\n"));
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for text in [template().to_owned(), uncommented(template())] {
        let value: serde_json::Value = toml::from_str(&text).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn shipped_file_is_accepted_without_a_warning() {
    let config = file(template()).load();
    assert_eq!(config.jobs.len(), 1);
    assert_eq!(config.jobs[0].name, "nightly");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn shipped_file_shows_every_setting_with_its_true_default() {
    let defaults = Config { jobs: vec![JobConfig::default()], ..Config::default() };
    // No default, so an example stands there; the name and the cron of the job stand there for good.
    let defaults: Vec<Setting> = defaults.effective();
    let shown = file(&uncommented(template())).load().effective();
    for default in defaults {
        let key = default.key.replace("job[0]", "job.nightly");
        if key == "destination.options" {
            assert!(shown.iter().any(|setting| setting.key.starts_with("destination.options.")));
            continue;
        }
        let shown = shown.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key} is not shown"));
        assert_ne!(shown.from, Place::Default, "{key} is not shown");
        if !default.value.is_null() && key != "job.nightly.name" {
            assert_eq!(shown.value, default.value, "{key}");
        }
    }
}

/// The shipped file with every commented setting in force.
fn uncommented(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let setting = line.strip_prefix("# ").filter(|rest| {
            let name = rest.split(' ').next().unwrap_or_default();
            rest.contains(" = ") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        format!("{}\n", setting.unwrap_or(line))
    });
    lines.collect()
}

#[test]
fn odd_files_are_told_in_words_too() {
    let told: Vec<String> = [
        "api = 3",
        "[[api]]\nconcurrency = 4",
        "job = []\nspool = []",
        "job = [{ name = \"a\", corn = \"x\" }]",
        "job = [1]",
        "[job.nightly]\ncron = \"0 6 * * *\"",
        "\"api.concurrency\" = 4",
        "[destination]\noptions = 3",
        "[destination.options.region]\nname = \"eu\"",
        "[[job]]\nname = \"a\"\nstreams = \"core\"",
        "[[job]]\nname = \"a\"\nstreams = [\"core\", 1]\ncategories = [\"\"]\nassets = []",
        "[[job]]\nname = 4\n[[job]]\nname = 5",
        "[api]\nconcurrency = 0",
        "[api]\nconcurrency = 4.5",
        "[api]\nconcurrency = 99999999999999999999",
        "[api]\nauth = { header = true }",
        "[api]\nauth = 1\n[destination]\npartition = 1",
        "[api]\nkey_expires = 2026-03-01T00:00:00Z",
        "[api]\nbase_url = \"https://user:s3cr3t@host\"",
        "[api]\nidle_timeout = \"0s\"",
        "[api]\nmax_window = \"0d\"",
        "[api]\nmax_window = \"367d\"",
        "[[stream]]\nname = \"x\"",
        "[stream]\nname = \"x\"",
        "stream = [1]\nparameters = 3",
        "[parameters]\nagent_runs = 3",
    ]
    .iter()
    .map(|text| match load(&file(text).sources) {
        Ok(_) => format!("{text}\n=> accepted"),
        Err(_) => format!("{text}\n=> {}", file(text).error()),
    })
    .collect();
    insta::assert_snapshot!(told.join("\n----------\n"));
}

#[test]
fn odd_variables_are_told_in_words_too() {
    let written = file(NIGHTLY)
        .variable("PROFOUND_EXPORT_JOB__NIGHTLY", "{}")
        .variable("PROFOUND_EXPORT_JOB__NIGHTLY__", "x")
        .variable("PROFOUND_EXPORT___API", "x")
        .variable("PROFOUND_EXPORT_API__AUTH__X", "x")
        .variable("PROFOUND_EXPORT_SPOOL__DIR", "")
        .variable("PROFOUND_EXPORT_DESTINATION__URL", "")
        .variable("PROFOUND_EXPORT_JOB__NIGHTLY__STREAMS", "minimal")
        .variable("PROFOUND_EXPORT_DESTINATION__OPTIONS", "{ region = \"eu\" }");
    insta::assert_snapshot!(written.error());
}

/// A new grain, in six lines: the columns of two built-in streams, and one of its own.
const GRAIN: &str = r#"
[[stream]]
name = "visibility_v2_by_region"
extends = "visibility_v2_by_day"
body = { scope = "all", interval = "day", group_by = ["date", "region"], metrics = ["visibility_score", "weight"] }
key = ["date", "asset.name", "region.id"]
columns = ["date", "asset", "region", "visibility_score", { name = "weight", type = "int64", about = "weight" }]
"#;

/// An endpoint nobody knew.
const UNKNOWN: &str = r#"
[[stream]]
name = "weather"
about = "One row per day and region."
request = "POST /v2/reports/weather"
read_only = true
scope = "category"
days = { zone = "eastern", end = "inclusive", lookback = 3 }
pagination = { cursor = { limit = 50 } }
key = ["date", "region"]
columns = [
  { name = "date", type = "date", about = "day" },
  { name = "region", type = "utf8", about = "region" },
  { name = "rain", type = "float64", about = "rain", unit = "mm", range = [0, 1000] },
]
"#;

#[test]
fn new_grain_takes_everything_else_from_the_stream_it_is_like() {
    let config = file(&format!("{NIGHTLY}streams = [\"core\", \"visibility_v2_by_region\"]\n{GRAIN}")).load();
    let catalog = config.catalog();
    let (grain, like) = (catalog.get("visibility_v2_by_region").unwrap(), catalog.get("visibility_v2_by_day").unwrap());
    assert_eq!((&grain.request, &grain.days, &grain.family), (&like.request, &like.days, &like.family));
    assert_eq!((&grain.event_stream, &grain.pagination), (&like.event_stream, &like.pagination));
    assert_eq!(grain.tier, None, "it is chosen by its name");
    let columns: Vec<&str> = grain.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["date", "asset", "region", "visibility_score", "weight"]);
    assert_eq!(grain.column("visibility_score"), like.column("visibility_score"));
    assert!(config.streams_of(&config.jobs[0]).unwrap().iter().any(|stream| stream.name == grain.name));
}

#[test]
fn endpoint_nobody_knew_is_declared_as_the_catalog_declares_its_own() {
    let config = file(UNKNOWN).load();
    let weather = config.catalog().get("weather").unwrap();
    assert_eq!(weather.family, "own_weather");
    assert_eq!(weather.columns[2].range, Some([0.0, 1000.0]));
    assert_eq!(weather.pagination, crate::model::stream::Pagination::Cursor { limit: 50 });
}

#[test]
fn built_in_stream_is_replaced_only_where_the_file_says_so() {
    let text = "[[stream]]\nname = \"models\"\nextends = \"models\"\ncolumns = [\"id\", { name = \"name\", type = \"json\", about = \"name\" }]\n";
    let written = file(&format!("{text}override = true\n"));
    let config = written.load();
    let models = config.catalog().get("models").unwrap();
    assert_eq!(models.column("name").unwrap().data_type.to_string(), "json");
    assert_eq!(models.tier, Some(crate::model::stream::Tier::Minimal), "what it replaces keeps its place");
    assert_eq!((models.family.as_str(), config.warnings.len()), ("organization", 0));
    insta::assert_snapshot!(file(text).error());
}

#[test]
fn every_problem_of_own_streams_is_told_at_once() {
    let written = file(
        r#"
[[stream]]
name = "Weather"
requst = "GET /v2/x"
scope = "categories"

[[stream]]
name = "weather"
extends = "citations_v2_domain_by_modle"
columns = ["date", { name = "rain", type = "float", about = "rain" }, { name = "sun", type = "int64", abuot = "sun" }]

[[stream]]
name = "rain"
about = "rain"
request = "PUT /v2/rain"
scope = "category"
key = "date"
columns = []
pagination = { cursor = { limt = 50 } }
tier = "minimum"
extends = 4

[[stream]]
name = "snow"
extends = "citations_v2_domain_by_model"
columns = ["date", "domian"]

[[stream]]
name = "ice"
extends = "citations_v2_domain_by_model"
key = ["model"]

[[stream]]
name = "hail_history"
extends = "models"

[[stream]]
name = "hail"
extends = "models"

[[stream]]
name = "hail"
extends = "models"

[[job]]
name = "nightly"
streams = ["hail", "weather", "wether"]
"#,
    );
    insta::assert_snapshot!(written.error());
}

#[test]
fn request_that_could_change_something_is_refused() {
    let stream = |name: &str, request: &str, more: &str| {
        format!("[[stream]]\nname = \"{name}\"\nextends = \"models\"\nrequest = \"{request}\"\n{more}\n")
    };
    let text = [
        stream("unknown", "POST /v2/reports/weather", ""),
        stream("promised", "POST /v2/reports/weather", "read_only = true"),
        stream("changes", "POST /v1/projects", "read_only = true"),
        stream("elsewhere", "GET /v1/x?y=z", ""),
        stream("get", "GET /v2/weather", ""),
        stream("known", "POST /v2/reports/citations", ""),
    ];
    insta::assert_snapshot!(file(&text.concat()).error());
}

#[test]
fn own_streams_and_what_is_given_are_shown_with_their_lines() {
    let written = file(GRAIN);
    assert_eq!(
        setting(&written, "stream.visibility_v2_by_region.key"),
        pair("[\"date\", \"asset.name\", \"region.id\"]", "jobs.toml:6")
    );
    assert_eq!(setting(&written, "stream.visibility_v2_by_region.body.scope").0, "\"all\"");
    assert!(load(&Sources::default()).unwrap().effective().iter().all(|setting| !setting.key.starts_with("stream")));
}

#[test]
fn parts_of_lists_are_not_set_by_variables() {
    let written = file(GRAIN)
        .variable("PROFOUND_EXPORT_STREAM__0__NAME", "x")
        .variable("PROFOUND_EXPORT_PARAMETERS__RUNS__0__ID", "x");
    insta::assert_snapshot!(written.error());
}

/// A stream that is asked for what only a user can say.
const RUNS: &str = r#"
[[stream]]
name = "runs"
about = "One run of an agent."
request = "GET /v1/agents/{agent_id}/runs/{run_id}"
scope = "account"
rows = "body"
parameters = ["agent_id", "run_id"]
key = ["agent_id", "run_id"]
columns = [
  { name = "agent_id", type = "utf8", about = "agent", from_request = true },
  { name = "run_id", type = "utf8", about = "run", from_request = true },
]
"#;

#[test]
fn what_is_given_reaches_its_stream() {
    let entry = "[[parameters.runs]]\nagent_id = \"a\"\nrun_id = \"r\"\n";
    let written = file(&format!("{NIGHTLY}streams = [\"models\", \"runs\"]\n{RUNS}{entry}"));
    let config = written.load();
    assert_eq!(config.parameters["runs"][0]["run_id"], "r");
    assert_eq!(config.streams_of(&config.jobs[0]).unwrap().len(), 2);
    assert_eq!(setting(&written, "parameters.runs").0, "[{ agent_id = \"a\", run_id = \"r\" }]");
    let by_variable = file(&format!("{NIGHTLY}streams = [\"runs\"]\n{RUNS}"))
        .variable("PROFOUND_EXPORT_PARAMETERS__RUNS", "[{ agent_id = \"a\", run_id = \"r\" }]");
    assert_eq!(by_variable.load().parameters["runs"].len(), 1);
}

#[test]
fn stream_to_which_nothing_is_given_is_left_out_unless_it_is_named() {
    let config = file(&format!("{NIGHTLY}streams = [\"models\", \"ru*\"]\n{RUNS}")).load();
    let names: Vec<String> =
        config.streams_of(&config.jobs[0]).unwrap().iter().map(|stream| stream.name.clone()).collect();
    assert_eq!(names, ["models"]);
    insta::assert_snapshot!(file(&format!("{NIGHTLY}streams = [\"models\", \"runs\"]\n{RUNS}")).error());
}

#[test]
fn every_problem_of_what_is_given_is_told_at_once() {
    let text = r#"
[[parameters.rnus]]
agent_id = "a"

[[parameters.models]]
id = "m"

[[parameters.runs]]
agent_id = "a"
run = "r"

[[parameters.runs]]
agent_id = ""
run_id = 4

[[parameters.runs]]
agent_id = ".."
run_id = "r"

[[parameters.runs]]
agent_id = ".."
run_id = "r"
"#;
    insta::assert_snapshot!(file(&format!("{RUNS}{text}")).error());
}

#[test]
fn protection_stands_on_the_streams_that_the_jobs_export() {
    let job = "streams = [\"answers_*\", \"category_tags\"]\ndrop = [\"answers_v2.response\"]\nhash = [\"category_t*.name\"]\n";
    let config = file(&format!("{NIGHTLY}{job}[privacy]\nsalt_file = \"salt\"\n")).load();
    let protected = |name: &str| config.catalog().get(name).unwrap().protect.clone();
    assert_eq!(protected("answers_v2"), [("response".to_owned(), crate::model::column::Protect::Drop)].into());
    assert_eq!(protected("category_tags"), [("name".to_owned(), crate::model::column::Protect::Hash)].into());
    assert!(protected("answers_v1").is_empty());
}

#[test]
fn every_problem_of_protection_is_told_at_once() {
    let text = r#"
[[job]]
name = "nightly"
streams = ["answers_v2", "visibility_v2", "citations_v2_domain_by_model"]
drop = ["answers", "answer_v2.response", "answers_v2.respons", "visibility_v2.date", "citations_v2_*.domain"]
hash = ["visibility_v2.visibility_score", "answers_v2.response", "answers_v2.response.text"]

[[job]]
name = "weekly"
streams = ["answers_v2"]
drop = ["answers_v2.response"]

[[job]]
name = "monthly"
streams = ["answers_v2"]
"#;
    insta::assert_snapshot!(file(text).error());
}

#[test]
fn documented_examples_of_own_streams_and_personal_data_are_valid() {
    let guides =
        concat!(include_str!("../../docs/guides/own-streams.md"), include_str!("../../docs/guides/privacy.md"));
    let blocks = guides.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
    let own: Vec<&str> = blocks.filter(|block| block.contains("[[stream]]") || block.contains("[privacy]")).collect();
    assert_eq!(own.len(), 3);
    for block in own {
        let config = file(block).load();
        assert!(config.warnings.is_empty(), "{block}: {:?}", config.warnings);
    }
    let shipped = template().lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with([' ', ':']) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    });
    let config = file(&shipped.collect::<String>()).load();
    assert_eq!(config.streams.len(), 1, "the example of the shipped file");
}
