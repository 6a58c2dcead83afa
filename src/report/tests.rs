//! Reports of small lakes in a bucket of memory.

use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use arrow_array::{Array, ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;

use super::*;
use crate::model::day::Day;
use crate::model::day_status::DayStatus;
use crate::model::scope::{Named, Scope};

const HOSTILE: &str = "<script>alert(1)</script>\"'&";
const CATEGORY: &str = "</style><img src=x onerror=alert(1)>";

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// A day file of `visibility_v2_by_day` with the shares of assets, the first of which is owned.
fn shares(day: Day, assets: &[(&str, f64)]) -> Bytes {
    let names: ArrayRef = Arc::new(assets.iter().map(|(name, _)| Some(*name)).collect::<StringArray>());
    let mut owned = BooleanBuilder::new();
    assets.iter().enumerate().for_each(|(index, _)| owned.append_value(index == 0));
    let owned: ArrayRef = Arc::new(owned.finish());
    let field = |name: &str, data_type: DataType| Arc::new(Field::new(name, data_type, true));
    let asset: ArrayRef = Arc::new(StructArray::from(vec![
        (field("name", DataType::Utf8), names),
        (field("owned", DataType::Boolean), owned),
    ]));
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![day.to_epoch_days(); asset.len()]));
    let values: ArrayRef = Arc::new(assets.iter().map(|(_, share)| Some(*share)).collect::<Float64Array>());
    let columns =
        [("date", dates), ("asset", asset), ("share_of_voice", Arc::clone(&values)), ("visibility_score", values)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    Bytes::from(writer.into_inner().unwrap())
}

fn row<'a>(scope: &'a Scope, text: &str, status: DayStatus) -> CoverageRow<'a> {
    let is_there = status != DayStatus::Missing;
    CoverageRow {
        stream: "visibility_v2_by_day",
        scope,
        day: Some(day(text)),
        status,
        rows: is_there.then_some(2),
        proof: None,
        extracted_at: is_there.then(|| "2026-12-01T00:00:00Z".parse().unwrap()),
        changed_at: None,
        path: is_there.then(|| format!("visibility_v2_by_day/{text}.parquet")),
        problem: None,
    }
}

fn category(name: &str) -> Scope {
    Scope { category: Some(Named { id: name.to_owned(), name: name.to_owned() }), ..Scope::default() }
}

async fn made(lake: &Destination, coverage: Vec<CoverageRow<'_>>, most: usize) -> Report {
    let now = "2026-12-01T12:00:00Z".parse().unwrap();
    report(ReportRequest { lake, coverage, record: 7, now, days: 90, categories: &[], most }).await.unwrap()
}

fn bucket() -> Destination {
    Destination::new(Arc::new(InMemory::new()), "s3://bucket/lake")
}

#[tokio::test]
async fn hostile_names_are_text_on_the_page() {
    let (lake, scope) = (bucket(), category(CATEGORY));
    for text in ["2026-11-29", "2026-11-30"] {
        let file = shares(day(text), &[(HOSTILE, 0.6), ("Rival", 0.4)]);
        lake.overwrite(&Path::from(format!("visibility_v2_by_day/{text}.parquet")), file).await.unwrap();
    }
    let rows = ["2026-11-29", "2026-11-30"].map(|text| row(&scope, text, DayStatus::Final));
    let Report { html, .. } = made(&lake, rows.to_vec(), 10).await;
    // In tiles, drawings, tables and text for screen readers; the category in SQL, too.
    assert!(html.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() >= 3, "{html}");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;…"), "the label of the line: {html}");
    assert!(html.matches("&lt;img src=x onerror=alert(1)&gt;").count() >= 3, "{html}");
    let tags: Vec<&str> = html.split('<').map(|tag| tag.split([' ', '>']).next().unwrap()).collect();
    for tag in ["script", "img", "link", "iframe", "object", "base", "form"] {
        let found = tags.iter().filter(|found| **found == tag).count();
        assert_eq!(found, usize::from(tag == "link"), "{tag}");
    }
    assert!(html.contains("default-src 'none'") && html.contains("<link rel=\"icon\" href=\"data:,\">"), "{html}");
}

#[tokio::test]
async fn page_names_missing_days_and_the_stream_to_export() {
    let (lake, scope) = (bucket(), category("Tea"));
    for text in ["2026-11-26", "2026-11-27", "2026-11-30"] {
        let file = shares(day(text), &[("Ours", 0.25), ("Rival", 0.4)]);
        lake.overwrite(&Path::from(format!("visibility_v2_by_day/{text}.parquet")), file).await.unwrap();
    }
    let damaged = Path::from("visibility_v2_by_day/2026-11-29.parquet");
    lake.overwrite(&damaged, Bytes::from_static(b"no table")).await.unwrap();
    let of = |text: &str, status| row(&scope, text, status);
    let rows = vec![
        of("2026-11-26", DayStatus::Final),
        of("2026-11-27", DayStatus::Suspect),
        of("2026-11-28", DayStatus::Missing),
        of("2026-11-29", DayStatus::Final),
        of("2026-11-30", DayStatus::Provisional),
    ];
    let report = made(&lake, rows, 10).await;
    let doubts = ["missing on Sat 28 Nov", "suspect on Fri 27 Nov", "unreadable on Sun 29 Nov"];
    let expected = doubts.map(|doubt| format!("Tea, visibility_v2_by_day: {doubt}"));
    assert_eq!(report.doubts, expected);
    let [unreadable] = &report.unreadable[..] else { panic!("{:?}", report.unreadable) };
    assert!(
        unreadable.starts_with("visibility_v2_by_day/2026-11-29.parquet: not a valid Parquet file"),
        "{unreadable}"
    );
    let html = &report.html;
    for doubt in doubts {
        // Below each figure of the stream, and at the foot.
        assert!(html.matches(doubt).count() >= 3, "{doubt}: {html}");
    }
    assert!(html.contains(unreadable), "{html}");
    // Three days are shaded in each of two drawings, and the rest of the line is interrupted.
    assert_eq!(html.matches("fill=\"#F6ECD6\"").count(), 2 * 3 + 1, "{html}");
    assert!(html.contains("<b>25.0\u{202f}%</b>") || html.contains("25.0\u{202f}%"), "{html}");
    for stream in report_streams().into_iter().filter(|stream| *stream != "visibility_v2_by_day") {
        let is_of_sites = ["bots_v2", "referrals_v2"].contains(&stream);
        let sentence =
            format!("The lake has no <code>{stream}</code>. Add &quot;{stream}&quot; to <code>streams</code>");
        // The first that a figure lacks is named.
        let is_named = stream != "assets" && !is_of_sites;
        assert_eq!(html.contains(&sentence), is_named, "{stream}");
    }
}

#[tokio::test]
async fn categories_that_are_left_out_are_named() {
    let lake = bucket();
    let scopes: Vec<Scope> = (0..30).map(|index| category(&format!("Category {index:02}"))).collect();
    let rows = scopes.iter().enumerate().map(|(index, scope)| CoverageRow {
        rows: Some(index as u64),
        path: None,
        ..row(scope, "2026-11-30", DayStatus::Final)
    });
    let report = made(&lake, rows.collect(), 2).await;
    assert_eq!((report.categories.join(", ").as_str(), report.left_out), ("Category 29, Category 28", 28));
    assert!(report.html.contains("This page shows 2 of 30 categories"), "{}", report.html);
    let named = "<code>Category 27</code>, <code>Category 26</code>";
    assert!(report.html.contains(named) && report.html.contains("and 18 more"), "{}", report.html);
}
