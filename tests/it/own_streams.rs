//! Streams that a user declares in `jobs.toml` are exported like built-in ones.

use profound_export::catalog::Catalog;
use profound_export::config::{Config, Sources, load};
use profound_export::run::Outcome;

use crate::support::{Export, account, of_stream, on_memory_and_disk};

/// Another grain of a built-in endpoint, and an endpoint without a built-in stream.
const OWN: &str = r#"
[[stream]]
name = "visibility_v2_by_topic_region"
extends = "visibility_v2_by_day"
body = { scope = "all", interval = "day", group_by = ["date", "topic", "region"], metrics = ["visibility_score", "share_of_voice", "average_position"] }
key = ["date", "asset.name", "topic.id", "region.id"]
columns = ["date", "asset", "topic", "region", "visibility_score", "share_of_voice", "average_position"]

[[stream]]
name = "weather"
about = "One row per region: a list that no version of the program knows."
request = "GET /v9/categories/{category_id}/weather"
scope = "category"
key = ["id"]
columns = [
  { name = "id", type = "utf8", about = "identifier" },
  { name = "name", type = "utf8", about = "name" },
]
"#;

/// The configuration that `text` is.
fn configuration(text: &str) -> Config {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }).unwrap()
}

fn catalog(text: &str) -> Catalog {
    Catalog::clone(configuration(text).catalog())
}

on_memory_and_disk! {
    async fn own_streams_are_exported_like_built_in_ones(place) {
        let streams = ["visibility_v2_by_topic_region", "weather"];
        let export = Export::start_with(place, account(), catalog(OWN), &streams).await;
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        for stream in streams {
            assert!(!export.all_rows(stream).await.is_empty(), "{stream}");
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
        let requested = of_stream(&received, "weather");
        assert_eq!(requested.len(), export.categories().len());
        assert!(requested.iter().all(|request| request.path.starts_with("/v9/categories/")));
    }
}

#[tokio::test]
async fn redefined_stream_is_extracted_as_the_user_declares_it() {
    let text = "[[stream]]\nname = \"models\"\nextends = \"models\"\noverride = true\ncolumns = [\"id\"]\n";
    let export = Export::start_with(crate::support::Place::Memory, account(), catalog(text), &["models"]).await;
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    let rows = export.all_rows("models").await;
    assert!(!rows.is_empty() && rows.iter().all(|row| row.get("name").is_none()), "{rows:?}");
}

#[tokio::test]
async fn stream_is_requested_once_for_each_parameter_entry() {
    let text = r#"
[[stream]]
name = "stations"
about = "One row per sensor of a station."
request = "GET /v9/stations/{station_id}/sensors"
scope = "account"
parameters = ["station_id"]
key = ["station_id", "id"]
columns = [
  { name = "station_id", type = "utf8", about = "station", from_request = true },
  { name = "id", type = "utf8", about = "identifier" },
]

[[parameters.stations]]
station_id = "north"

[[parameters.stations]]
station_id = "south/pole"
"#;
    let config = configuration(text);
    let mut export = Export::start_with(crate::support::Place::Memory, account(), catalog(text), &["stations"]).await;
    export.parameters = config.parameters.clone();
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    let requested: Vec<&str> = of_stream(&received, "stations").iter().map(|request| request.path.as_str()).collect();
    assert_eq!(requested, ["/v9/stations/north/sensors", "/v9/stations/south%2Fpole/sensors"]);
    let rows = export.all_rows("stations").await;
    for station in ["north", "south/pole"] {
        assert!(rows.iter().any(|row| row["station_id"] == station), "{rows:?}");
    }
}
