//! Promises of [`load`](super::load): precedence of layers, and every problem with key, place and remedy.

use super::*;

/// A directory with a `jobs.toml`, and sources that read it.
struct Fixture {
    directory: tempfile::TempDir,
    sources: Sources,
}

fn file(text: &str) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.toml");
    std::fs::write(&path, text).unwrap();
    Fixture { directory, sources: Sources { file: Some(path), ..Sources::default() } }
}

impl Fixture {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(format!("PROFOUND_EXPORT_{name}"), value.to_owned());
        self
    }

    fn flag(mut self, name: &str, key: &str, value: &str) -> Self {
        self.sources = self.sources.with_flag(Flag::new(name, key, value));
        self
    }

    fn load(&self) -> Config {
        load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(&self) -> String {
        self.without_directory(&load(&self.sources).expect_err("the configuration was accepted").to_string())
    }

    fn warnings(&self) -> String {
        let warnings: Vec<String> = self.load().warnings.iter().map(ToString::to_string).collect();
        self.without_directory(&warnings.join("\n\n"))
    }

    /// The value of `key` in TOML, and where it came from.
    fn setting(&self, key: &str) -> (String, String) {
        let all = self.load().effective();
        let setting = all.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key} in {all:?}"));
        (setting.text(), self.without_directory(&setting.from.to_string()))
    }

    fn without_directory(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn assert_settings(fixture: &Fixture, expected: &[(&str, &str, &str)]) {
    for (key, value, from) in expected {
        assert_eq!(fixture.setting(key), ((*value).to_owned(), (*from).to_owned()), "{key}");
    }
}

const NIGHTLY: &str = "[[job]]\nname = \"nightly\"\n";

/// Another grain of a built-in stream, with columns of two built-in streams and a new one.
const GRAIN: &str = r#"
[[stream]]
name = "visibility_v2_by_topic_region"
extends = "visibility_v2_by_day"
body = { scope = "all", interval = "day", group_by = ["date", "topic", "region"], metrics = ["visibility_score", "weight"] }
key = ["date", "asset.name", "topic.id", "region.id"]
columns = ["date", "asset", "topic", "region", "visibility_score", { name = "weight", type = "int64", about = "weight" }]
"#;

/// An endpoint that is not built in.
const WEATHER: &str = r#"
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

/// A stream that needs parameters.
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

const MANY_PROBLEMS: &str = r#"
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

[[alert]]
type = "webhook"
url = "ftp://example.com"
timeout = "26s"
jobs = ["nigthly"]

[[alert]]
name = "mail"
type = "command"
command = ["https://example.com"]
url_variable = "A-B"
secret_file = "https://example.com"

[[alert]]
name = "mail"
type = "heartbeat"
url_file = "url"
url_variable = "URL"
secret_variable = "SECRET"
events = ["job_failed"]
"#;

const STREAM_PROBLEMS: &str = r#"
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
"#;

const PARAMETER_PROBLEMS: &str = r#"
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

const PROTECTION_PROBLEMS: &str = r#"
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

/// Files with one mistake each, most of them in the structure.
const MALFORMED: [&str; 30] = [
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
    "[job]\nname = \"nightly\"",
    "[[job]]\ncron = \"0 6 * * *\"\n[[job]]\nname = \"a\"\n[[job]]\nname = \"a\"",
    "[api]\nconcurrency = 4\nauth = header",
    "[api]\nconcurrency = 4\nconcurrency = 5",
];

#[test]
fn every_problem_has_key_place_and_remedy() {
    let stream = |name: &str, request: &str, more: &str| {
        format!("[[stream]]\nname = \"{name}\"\nextends = \"models\"\nrequest = \"{request}\"\n{more}\n")
    };
    let requests = [
        stream("unknown", "POST /v2/reports/weather", ""),
        stream("promised", "POST /v2/reports/weather", "read_only = true"),
        stream("changes", "POST /v1/projects", "read_only = true"),
        stream("elsewhere", "GET /v1/x?y=z", ""),
        stream("get", "GET /v2/weather", ""),
        stream("known", "POST /v2/reports/citations", ""),
    ];
    let missing =
        Fixture { sources: Sources { file: Some("/nowhere/jobs.toml".into()), ..Sources::default() }, ..file("") };
    let cases = [
        (
            "many",
            file(MANY_PROBLEMS)
                .variable("API__CONNECT_TIMEOUT", "10")
                .flag("--reserve", "api.reserve_requests", "many")
                .flag("--set", "spool.dir", ""),
        ),
        ("missing_file", missing),
        ("unknown_setting", file("[api]\nconcurency = 4\n")),
        (
            "setting_of_another_section",
            file("concurrency = 4\nstreams = [\"core\"]\n[spool]\npartition = \"day\"\n[weather]\nrain = true\n"),
        ),
        (
            "unknown_variables",
            file(NIGHTLY)
                .variable("API__CONCURENCY", "4")
                .variable("JOB__NIGHTLI__CRON", "0 6 * * *")
                .variable("JOB__NIGHTLY__CORN", "0 6 * * *")
                .variable("DESTINATON__URL", "./lake"),
        ),
        (
            "malformed_variables",
            file(NIGHTLY)
                .variable("JOB__NIGHTLY", "{}")
                .variable("JOB__NIGHTLY__", "x")
                .variable("_API", "x")
                .variable("API__AUTH__X", "x")
                .variable("SPOOL__DIR", "")
                .variable("DESTINATION__URL", "")
                .variable("JOB__NIGHTLY__STREAMS", "minimal")
                .variable("DESTINATION__OPTIONS", "{ region = \"eu\" }")
                .variable("STREAM__0__NAME", "x")
                .variable("PARAMETERS__RUNS__0__ID", "x"),
        ),
        (
            "store_options",
            file(
                "[destination]\nurl = \"s3://bucket\"\n[destination.options]\nregoin = \"eu\"\nsecret_acess_key = \"s3cr3t\"\nendpoint = \"http://localhost\"\ntoken = [\"s3cr3t\"]\n",
            ),
        ),
        ("own_streams", file(STREAM_PROBLEMS)),
        ("requests_that_may_write", file(&requests.concat())),
        ("replaced_stream", file("[[stream]]\nname = \"models\"\nextends = \"models\"\n")),
        ("parameters", file(&format!("{RUNS}{PARAMETER_PROBLEMS}"))),
        ("missing_parameters", file(&format!("{NIGHTLY}streams = [\"models\", \"runs\"]\n{RUNS}"))),
        ("protection", file(PROTECTION_PROBLEMS)),
    ];
    for (name, fixture) in cases {
        assert!(!fixture.error().contains("s3cr3t"));
        insta::assert_snapshot!(name, fixture.error());
    }
    let malformed = MALFORMED.map(|text| match load(&file(text).sources) {
        Ok(_) => format!("{text}\n=> accepted"),
        Err(_) => format!("{text}\n=> {}", file(text).error()),
    });
    insta::assert_snapshot!("malformed_files", malformed.join("\n----------\n"));
}

#[test]
fn allowed_but_questionable_settings_are_warnings() {
    let text = "[api]\nbase_url = \"http://api.example.com\"\nauth = \"query\"\nreserve_requests = 600\n[destination]\noptions = { region = \"eu\" }\n[server]\nlisten = \"0.0.0.0:80\"\n[metrics]\ntextfile = \"x.txt\"\n[[job]]\nname = \"nightly\"\ntimezone = \"EST\"\n";
    let fixture = file(text).variable("API_CONCURRENCY", "4").variable("API_KEY", "s3cr3t");
    insta::assert_snapshot!(fixture.warnings());
    let of_kubernetes = file("").variable("SERVICE_HOST", "10.0.0.1").variable("PORT", "tcp");
    assert_eq!(of_kubernetes.warnings(), "");
}

#[test]
fn key_among_the_settings_is_rejected_and_never_repeated() {
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
        assert!(error.contains("the key is never a setting") && !error.contains("s3cr3t"), "{error}");
    }
    let path = file("[api]\nkey_file = \"s3cr3t-0123456789abcdef0123\"").error();
    assert!(path.contains("the secret itself") && !path.contains("s3cr3t"), "{path}");
    let variable = file("").variable("API__KEY", "s3cr3t").error();
    assert!(variable.contains("the key is never a setting") && !variable.contains("s3cr3t"), "{variable}");
}

#[test]
fn file_that_is_not_text_is_named() {
    let fixture = file("");
    std::fs::write(fixture.sources.file.as_ref().unwrap(), [0xff, 0xfe]).unwrap();
    assert!(fixture.error().contains("not UTF-8"));
    let sources = Sources { file: Some(fixture.directory.path().to_owned()), ..Sources::default() };
    assert!(load(&sources).unwrap_err().to_string().contains("this is a directory"));
}

#[test]
fn later_layers_have_precedence() {
    let fixture = file("[api]\nconcurrency = 2\nreserve_requests = 10\n\n[destination]\nurl = \"./here\"\n")
        .variable("API__CONCURRENCY", "3")
        .variable("DESTINATION__URL", "./there")
        .flag("--destination", "destination.url", "./elsewhere");
    assert_settings(
        &fixture,
        &[
            ("api.reserve_requests", "10", "jobs.toml:3"),
            ("api.concurrency", "3", "PROFOUND_EXPORT_API__CONCURRENCY"),
            ("destination.url", "\"./elsewhere\"", "--destination"),
            ("api.idle_timeout", "\"5m\"", "default"),
            ("api.key_file", "-", "default"),
        ],
    );
    let defaults = load(&Sources::default()).unwrap();
    assert!(defaults.jobs.is_empty() && defaults.warnings.is_empty());
}

#[test]
fn variables_and_flags_set_one_job_by_its_name() {
    let fixture = file(&format!("{NIGHTLY}cron = \"0 6 * * *\"\n\n[[job]]\nname = \"week-end\"\n"))
        .variable("JOB__WEEK_END__CRON", "0 6 * * 6")
        .flag("--streams", "job.nightly.streams", "[\"minimal\"]");
    assert_settings(
        &fixture,
        &[
            ("job.nightly.cron", "\"0 6 * * *\"", "jobs.toml:3"),
            ("job.nightly.streams", "[\"minimal\"]", "--streams"),
            ("job.week-end.cron", "\"0 6 * * 6\"", "PROFOUND_EXPORT_JOB__WEEK_END__CRON"),
        ],
    );
    let config = fixture.load();
    assert_eq!(config.job("nigthly").unwrap_err().instead, "did you mean `nightly`?");
    assert!(load(&Sources::default()).unwrap().job("nightly").unwrap_err().instead.contains("init"));
}

#[test]
fn jobs_keep_their_order() {
    let text: String = (0..12).map(|index| format!("[[job]]\nname = \"job{index}\"\n")).collect();
    let names: Vec<String> = file(&text).load().jobs.into_iter().map(|job| job.name).collect();
    assert_eq!(names, (0..12).map(|index| format!("job{index}")).collect::<Vec<_>>());
}

#[test]
fn dates_are_accepted_with_and_without_quotes() {
    for date in ["2026-03-01", "\"2026-03-01\""] {
        let config = file(&format!("[api]\nkey_expires = {date}\n{NIGHTLY}start = {date}\n")).load();
        assert_eq!(
            (config.jobs[0].start, config.api.key_expires),
            ("2026-03-01".parse().ok(), "2026-03-01".parse().ok())
        );
    }
    let fixture = file(NIGHTLY).variable("JOB__NIGHTLY__START", "2026-03-01");
    assert_eq!(fixture.load().jobs[0].start, "2026-03-01".parse().ok());
}

#[test]
fn store_options_are_text_and_masked() {
    let fixture = file("[destination]\nurl = \"s3://bucket\"\noptions = { allow_http = true, region = \"eu\" }\n")
        .variable("DESTINATION__OPTIONS__SECRET_ACCESS_KEY", "0012")
        .variable("DESTINATION__OPTIONS__ENDPOINT", "http://localhost:9000");
    let config = fixture.load();
    let options: Vec<_> = config.destination.options.iter().collect();
    assert!(
        options.contains(&("allow_http", "true")) && options.contains(&("secret_access_key", "0012")),
        "{options:?}"
    );
    assert!(!format!("{config:?}").contains("0012"));
    let variable = "PROFOUND_EXPORT_DESTINATION__OPTIONS__SECRET_ACCESS_KEY";
    assert_settings(&fixture, &[("destination.options.secret_access_key", "\"********\"", variable)]);
    let table = file("[destination]\nurl = \"s3://bucket\"\n").variable("DESTINATION__OPTIONS", "{ region = \"eu\" }");
    assert_settings(&table, &[("destination.options.region", "\"eu\"", "PROFOUND_EXPORT_DESTINATION__OPTIONS")]);
}

#[test]
fn template_is_valid_by_the_schema_without_a_warning() {
    assert!(template().starts_with("#:schema ./docs/jobs.schema.json\n"));
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for text in [template().to_owned(), uncommented(template())] {
        let value: Value = toml::from_str(&text).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    let config = file(template()).load();
    assert!(config.jobs.len() == 1 && config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn template_shows_every_setting_with_its_true_default() {
    let defaults = Config { jobs: vec![JobConfig::default()], ..Config::default() };
    let fixture = file(&uncommented(template()));
    let shown = fixture.load().effective();
    for default in defaults.effective() {
        let key = default.key.replace("job[0]", "job.nightly");
        // Without a default, an example is shown; the name and the schedule of the job are always set.
        if key.ends_with(".options") {
            assert!(shown.iter().any(|setting| setting.key.starts_with(&format!("{key}."))), "{key}");
            continue;
        }
        let shown = shown.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key} is not shown"));
        assert_ne!(shown.from, Place::Default, "{key} is not shown");
        if key == "destination.url" {
            assert_eq!(shown.value, fixture.directory.path().join("lake").to_str().unwrap());
        } else if !default.value.is_null() && key != "job.nightly.name" {
            assert_eq!(shown.value, default.value, "{key}");
        }
    }
}

/// The template with every commented setting in force.
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
fn new_grain_inherits_from_the_stream_that_it_extends() {
    let fixture = file(&format!("{NIGHTLY}streams = [\"core\", \"visibility_v2_by_topic_region\"]\n{GRAIN}"));
    let config = fixture.load();
    let catalog = config.catalog();
    let (grain, base) =
        (catalog.get("visibility_v2_by_topic_region").unwrap(), catalog.get("visibility_v2_by_day").unwrap());
    assert_eq!((&grain.request, &grain.days, &grain.family), (&base.request, &base.days, &base.family));
    assert_eq!((&grain.event_stream, &grain.pagination), (&base.event_stream, &base.pagination));
    assert_eq!(grain.tier, None, "it is selected by its name");
    let columns: Vec<&str> = grain.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["date", "asset", "topic", "region", "visibility_score", "weight"]);
    assert_eq!(grain.column("visibility_score"), base.column("visibility_score"));
    assert!(config.streams_of(&config.jobs[0]).unwrap().iter().any(|stream| stream.name == grain.name));
    let key = "[\"date\", \"asset.name\", \"topic.id\", \"region.id\"]";
    assert_settings(
        &fixture,
        &[
            ("stream.visibility_v2_by_topic_region.key", key, "jobs.toml:9"),
            ("stream.visibility_v2_by_topic_region.body.scope", "\"all\"", "jobs.toml:8"),
        ],
    );
}

#[test]
fn unknown_endpoint_is_declared_like_a_built_in_one() {
    let config = file(WEATHER).load();
    let weather = config.catalog().get("weather").unwrap();
    assert_eq!(weather.family, "own_weather");
    assert_eq!(weather.columns[2].range, Some([0.0, 1000.0]));
    assert_eq!(weather.pagination, crate::model::stream::Pagination::Cursor { limit: 50 });
}

#[test]
fn overriding_stream_keeps_the_tier_of_the_built_in_one() {
    let text = "[[stream]]\nname = \"models\"\nextends = \"models\"\ncolumns = [\"id\", { name = \"name\", type = \"json\", about = \"name\" }]\noverride = true\n";
    let config = file(text).load();
    let models = config.catalog().get("models").unwrap();
    assert_eq!(models.column("name").unwrap().data_type.to_string(), "json");
    assert_eq!(models.tier, Some(crate::model::stream::Tier::Minimal));
    assert_eq!((models.family.as_str(), config.warnings.len()), ("organization", 0));
}

#[test]
fn stream_is_exported_only_when_its_parameters_are_set() {
    let names = |fixture: &Fixture| {
        let config = fixture.load();
        let streams = config.streams_of(&config.jobs[0]).unwrap();
        streams.iter().map(|stream| stream.name.clone()).collect::<Vec<_>>()
    };
    let text = format!("{NIGHTLY}streams = [\"models\", \"ru*\"]\n{RUNS}");
    assert_eq!(names(&file(&text)), ["models"]);
    let in_file = file(&format!("{text}[[parameters.runs]]\nagent_id = \"a\"\nrun_id = \"r\"\n"));
    let in_variable = file(&text).variable("PARAMETERS__RUNS", "[{ agent_id = \"a\", run_id = \"r\" }]");
    for fixture in [in_file, in_variable] {
        assert_eq!(names(&fixture), ["models", "runs"]);
        assert_eq!(fixture.setting("parameters.runs").0, "[{ agent_id = \"a\", run_id = \"r\" }]");
    }
}

#[test]
fn protection_applies_to_the_streams_that_jobs_export() {
    let job = "streams = [\"answers_*\", \"category_tags\"]\ndrop = [\"answers_v2.response\"]\nhash = [\"category_t*.name\"]\n";
    let config = file(&format!("{NIGHTLY}{job}[privacy]\nsalt_file = \"salt\"\n")).load();
    let protected = |name: &str| config.catalog().get(name).unwrap().protect.clone();
    assert_eq!(protected("answers_v2"), [("response".to_owned(), crate::model::column::Protect::Drop)].into());
    assert_eq!(protected("category_tags"), [("name".to_owned(), crate::model::column::Protect::Hash)].into());
    assert!(protected("answers_v1").is_empty());
}

#[test]
fn documented_examples_of_streams_and_privacy_are_accepted() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending = vec![root.join("README.md"), root.join("docs")];
    let mut examples = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            let text = std::fs::read_to_string(path).unwrap();
            let blocks = text.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
            let is_tested = |block: &&str| block.contains("[[stream]]") || block.contains("[privacy]");
            examples.extend(blocks.filter(is_tested).map(str::to_owned));
        }
    }
    assert!(!examples.is_empty());
    for example in examples {
        let config = file(&example).load();
        assert!(config.warnings.is_empty(), "{example}: {:?}", config.warnings);
    }
    let uncommented = template().lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with([' ', ':']) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    });
    assert_eq!(file(&uncommented.collect::<String>()).load().streams.len(), 1, "the example in the template");
}

#[test]
fn relative_path_starts_at_the_directory_of_the_file_that_sets_it() {
    let text = format!("{NIGHTLY}[destination]\nurl = './lake'\n[api]\nkey_file = '../key'\n[spool]\ndir = '/spool'\n");
    let fixture = file(&text).variable("METRICS__TEXTFILE", "metrics/a.prom");
    let (config, directory) = (fixture.load(), fixture.directory.path());
    assert_eq!(config.destination.location(), Ok(Location::Local(directory.join("lake"))));
    assert_eq!(config.api.key_file, Some(directory.join("../key")));
    assert_eq!(config.spool.dir.unwrap(), std::path::Path::new("/spool"));
    assert_eq!(config.metrics.textfile.unwrap(), std::path::Path::new("metrics/a.prom"));
    let fixture = file(NIGHTLY);
    assert_eq!(fixture.load().destination.location(), Ok(Location::Local(fixture.directory.path().join("lake"))));
    let store = file("[destination]\nurl = 's3://bucket/lake'").load();
    assert_eq!(store.destination.url, "s3://bucket/lake");
}

#[cfg(unix)]
#[test]
fn relative_path_starts_next_to_a_link_to_the_file() {
    let (fixture, links) = (file(NIGHTLY), tempfile::tempdir().unwrap());
    let link = links.path().join("jobs.toml");
    std::os::unix::fs::symlink(fixture.sources.file.as_ref().unwrap(), &link).unwrap();
    let config = load(&Sources { file: Some(link), ..Sources::default() }).unwrap();
    assert_eq!(config.destination.location(), Ok(Location::Local(links.path().join("lake"))));
}

#[cfg(unix)]
#[test]
fn lake_spool_and_other_lakes_do_not_contain_each_other() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place.path().join("lake/_profound_export")).unwrap();
    std::os::unix::fs::symlink(place.path().join("lake"), place.path().join("link")).unwrap();
    let at = |path: &str| place.path().join(path).display().to_string();
    let nested = |lake: &str, spool: &str| {
        let spool = if spool.is_empty() { String::new() } else { format!("[spool]\ndir = '{}'\n", at(spool)) };
        let fixture = file(&format!("{NIGHTLY}[destination]\nurl = '{}'\n{spool}", at(lake)));
        load(&fixture.sources).err().map(|error| error.to_string()).unwrap_or_default()
    };
    for (lake, spool, problem) in [
        ("lake", "lake", "the spool is the lake or inside it"),
        ("lake", "lake/../lake/spool", "the spool is the lake or inside it"),
        ("lake", "link/new/spool", "the spool is the lake or inside it"),
        ("lake", "lake/_profound_export/ledger", "the spool is the lake or inside it"),
        ("spool/lake", "spool", "the lake is inside the spool"),
        ("lake/_profound_export", "", "inside the `_profound_export` of another lake"),
        ("link/_profound_export/x", "", "inside the `_profound_export` of another lake"),
    ] {
        assert!(nested(lake, spool).contains(problem), "{lake} {spool}: {}", nested(lake, spool));
    }
    for (lake, spool) in [("lake", ""), ("lake", "spool"), ("lake", "lake2"), ("lake", "lake/_profound_export/spool")] {
        assert_eq!(nested(lake, spool), "", "{lake} {spool}");
    }
    let store = file("[destination]\nurl = 's3://bucket/lake/_profound_export'").error();
    assert!(store.contains("of another lake"), "{store}");
}

#[test]
fn hint_offers_every_name_that_is_equally_near() {
    let error = file("[api]\nkeyfile = 'x'\n[[job]]\nname = 'a'\nstreams = ['bots_v3']").error();
    assert!(error.contains("did you mean `bots_v1` or `bots_v2`?"), "{error}");
    assert!(error.contains("did you mean `key_file`?"), "{error}");
}

#[test]
fn second_table_of_a_section_is_an_error_with_a_hint() {
    for text in ["[api]\nconcurrency = 1\n[api]\nreserve_requests = 1", "[api]\nconcurrency = 1\nconcurrency = 2"] {
        let error = file(text).error();
        assert!(error.contains("write each section and each setting once"), "{error}");
    }
}

#[test]
fn unexpanded_path_is_an_error_with_the_expansion() {
    let home = std::env::var("HOME").unwrap();
    for (url, instead) in [
        ("~/lake", format!("write `{home}/lake`")),
        ("$HOME/lake", format!("write `{home}/lake`")),
        ("${HOME}/lake", format!("write `{home}/lake`")),
        ("s3://${BUCKET}/lake", "write the path or URL itself".to_owned()),
        ("~data/lake", "write the path or URL itself".to_owned()),
    ] {
        for setting in ["destination]\nurl", "spool]\ndir", "api]\nkey_file", "privacy]\nsalt_file"] {
            let error = file(&format!("[{setting} = '{url}'")).error();
            assert!(error.contains("expanded") && error.contains(&instead), "{url}: {error}");
        }
    }
    assert_eq!(file("[destination]\nurl = './cost in $'").load().warnings, []);
}

#[cfg(unix)]
#[test]
fn file_with_a_secret_that_every_user_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let target = "[[alert]]\nname = 'a'\ntype = 'slack'\nurl = 'https://hooks.slack.com/x'\n";
    let text =
        format!("{target}[destination]\nurl = 's3://b/p'\noptions = {{ secret_access_key = 's3cr3t', region = 'x' }}");
    for (mode, expected) in [(0o644, 2), (0o600, 0)] {
        let fixture = file(&text);
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(fixture.sources.file.as_ref().unwrap(), permissions).unwrap();
        let warnings = fixture.warnings();
        assert_eq!(warnings.matches("every user of this machine can read the file").count(), expected, "{warnings}");
        assert!(!warnings.contains("s3cr3t") && !warnings.contains("/x"), "{warnings}");
    }
}
