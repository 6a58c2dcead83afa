//! Figures that must agree, because they count the same answers.

use super::*;

/// Days of which every report is compared.
fn window() -> Window {
    days("2026-07-06", "2026-08-16")
}

fn number(row: &Value, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row}"))
}

/// The sum of `column` over all rows with the same `parts`, such as `date` and `asset.name`.
fn sums(rows: &[Value], parts: &[&str], column: impl Fn(&Value) -> f64) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for row in rows {
        let part = |path: &&str| path.split('.').fold(row, |value, name| &value[name]).clone();
        let key: Vec<Value> = parts.iter().map(part).collect();
        *sums.entry(json!(key).to_string()).or_default() += column(row);
    }
    sums
}

fn rows(sim: &Simulator, name: &str, scope: &Scope) -> Vec<Value> {
    let rows = sim.rows(&stream(name), scope, Some(window()));
    assert!(!rows.is_empty(), "{name}");
    rows
}

/// Every key of both, with values that differ by rounding alone.
fn assert_same(one: &BTreeMap<String, f64>, other: &BTreeMap<String, f64>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (key, value) in one {
        assert!((value - other[key]).abs() < 1e-5, "{key}: {value} and {}", other[key]);
    }
}

#[tokio::test]
async fn shares_of_a_day_sum_to_one() {
    let sim = simulator(account()).await;
    for scope in sim.scopes(ScopeKind::Category) {
        let share = |name: &str, parts: &[&str], column: &str| {
            for (key, sum) in sums(&rows(&sim, name, &scope), parts, |row| row[column].as_f64().unwrap_or_default()) {
                assert!((sum - 1.0).abs() < 1e-4, "{name} {key}: {sum}");
            }
        };
        share("visibility_v2_by_day", &["date"], "share_of_voice");
        share("citations_v2_domain_by_day", &["date"], "citation_share");
        share("citations_v2_page_by_model", &["date", "model.id"], "citation_share");
        share("citations_v2_category_by_model", &["date", "model.id"], "citation_share");
    }
}

#[tokio::test]
async fn counts_of_version_1_give_the_ratios_of_version_2() {
    let sim = simulator(account()).await;
    for scope in sim.scopes(ScopeKind::Category) {
        let counts = rows(&sim, "visibility_v1", &scope);
        for (one, other, parts, version_2) in [
            ("asset_name", "asset.name", &["date"][..], "visibility_v2_by_day"),
            ("asset_name", "asset.name", &["date", "model"], "visibility_v2_by_model"),
            ("asset_name", "asset.name", &["date", "topic"], "visibility_v2_by_topic"),
        ] {
            let keys_1 = [parts, &[one]].concat();
            let named: Vec<String> = parts[1..].iter().map(|part| format!("{part}.name")).collect();
            let keys_2: Vec<&str> =
                ["date"].into_iter().chain(named.iter().map(String::as_str)).chain([other]).collect();
            let executions = sums(&counts, &keys_1, |row| number(row, "executions"));
            let mut ratios = sums(&counts, &keys_1, |row| number(row, "mentions_count"));
            ratios.iter_mut().for_each(|(key, mentions)| *mentions /= executions[key]);
            assert_same(&ratios, &sums(&rows(&sim, version_2, &scope), &keys_2, |row| number(row, "visibility_score")));
        }
    }
}

#[tokio::test]
async fn reports_count_what_the_answers_say() {
    let sim = simulator(account()).await;
    for scope in sim.scopes(ScopeKind::Category) {
        let answers = rows(&sim, "answers_v2", &scope);
        let said = |column: &str, without_scheme: bool| {
            let mut said = Vec::new();
            for answer in &answers {
                for one in answer[column].as_array().into_iter().flatten() {
                    let text = one.as_str().unwrap();
                    let text = if without_scheme { text.trim_start_matches("https://") } else { text };
                    said.push(json!({ "date": answer["date"], "model": answer["model"]["name"], "what": text }));
                }
            }
            sums(&said, &["date", "model", "what"], |_| 1.0)
        };
        let mentions = sums(&rows(&sim, "visibility_v1", &scope), &["date", "model", "asset_name"], |row| {
            number(row, "mentions_count")
        });
        assert_same(&said("mentions", false), &mentions.into_iter().filter(|(_, count)| *count > 0.0).collect());
        let pages = rows(&sim, "citations_v2_page_by_model", &scope);
        let pages = sums(&pages, &["date", "model.name", "page"], |row| number(row, "count"));
        assert_same(&said("citations", true), &pages);
        let urls = sums(&rows(&sim, "citations_v1", &scope), &["date"], |row| number(row, "count"));
        let domains = rows(&sim, "citations_v2_domain_by_day", &scope);
        assert_same(&urls, &sums(&domains, &["date"], |row| number(row, "count")));
    }
}

#[tokio::test]
async fn month_counts_the_answers_of_all_its_days() {
    let sim = simulator(account()).await;
    let scope = &sim.scopes(ScopeKind::Category)[0];
    let july = Some(days("2026-07-01", "2026-07-31"));
    let counts = sim.rows(&stream("visibility_v1"), scope, july);
    let mentions = sums(&counts, &["asset_name"], |row| number(row, "mentions_count"));
    let executions = sums(&counts, &["asset_name"], |row| number(row, "executions"));
    let month = sim.rows(&stream("visibility_v2_month"), scope, july);
    let month = sums(&month, &["asset.name"], |row| number(row, "visibility_score"));
    assert_same(&month, &mentions.into_iter().map(|(key, count)| (key.clone(), count / executions[&key])).collect());
}

#[tokio::test]
async fn brands_win_and_lose_and_weekends_are_quiet() {
    let sim = simulator(account()).await;
    let year = Some(days("2025-08-20", "2026-08-19"));
    let mut swings = Vec::new();
    for scope in sim.scopes(ScopeKind::Category) {
        let rows = sim.rows(&stream("visibility_v2_by_day"), &scope, year);
        let months = |asset: &Value| -> BTreeMap<String, f64> {
            let of_asset = rows.iter().filter(|row| row["asset"]["name"] == *asset);
            let month =
                |row: &Value| json!({ "month": row["date"].as_str().unwrap()[..7], "share": row["share_of_voice"] });
            let of_asset: Vec<Value> = of_asset.map(month).collect();
            let days = sums(&of_asset, &["month"], |_| 1.0);
            let mut shares = sums(&of_asset, &["month"], |row| number(row, "share"));
            shares.iter_mut().for_each(|(month, share)| *share /= days[month]);
            shares
        };
        for asset in rows.iter().take(4).map(|row| &row["asset"]["name"]) {
            let shares = months(asset);
            swings.push(shares.values().copied().fold(0.0, f64::max) / shares.values().copied().fold(1.0, f64::min));
        }
    }
    assert!(swings.iter().filter(|swing| **swing > 1.3).count() >= 3, "{swings:?}");
    let scope = &sim.scopes(ScopeKind::Domain)[0];
    let (week, weekend) = (days("2026-08-03", "2026-08-07"), days("2026-08-08", "2026-08-09"));
    let visits = |window| sim.truth(&stream("referrals_v2"), scope, Some(window)).sums["visits"];
    assert!(visits(week) / 5.0 > visits(weekend) / 2.0 * 1.2);
}

#[tokio::test]
async fn sentiment_of_a_day_counts_the_assessments_of_all_themes() {
    let sim = simulator(account()).await;
    for scope in sim.scopes(ScopeKind::CategoryAsset) {
        let category = Scope { asset: None, ..scope.clone() };
        let mut counts = rows(&sim, "sentiment_v1", &category);
        counts.retain(|row| row["asset_id"] == scope.asset.as_ref().unwrap().id);
        let all = sums(&counts, &["date"], |row| number(row, "occurrences"));
        let mut shares = sums(&counts, &["date"], |row| number(row, "positive") * 100.0);
        shares.iter_mut().for_each(|(key, positive)| *positive /= all[key]);
        let rows = rows(&sim, "sentiment_v2_by_day", &scope);
        assert_same(&shares, &sums(&rows, &["date"], |row| number(row, "positive_sentiment")));
    }
}

#[tokio::test]
async fn texts_have_the_traps_that_columns_warn_of() {
    let sim = simulator(account()).await;
    let scope = &sim.scopes(ScopeKind::Category)[0];
    let texts = |name: &str, column: &str| -> BTreeSet<String> {
        rows(&sim, name, scope).iter().filter_map(|row| row[column].as_str().map(str::to_owned)).collect()
    };
    assert!(texts("citations_v1", "url").iter().all(|url| !url.contains("://")));
    assert!(texts("citations_v2_page_by_day", "page").iter().all(|page| !page.contains("://")));
    assert!(texts("visibility_v1", "persona").contains("(none)"));
    assert!(texts("visibility_v1_by_tag", "tag").contains("(none)"));
    assert!(rows(&sim, "answers_v2", scope).iter().any(|answer| answer["persona"].is_null()));
    let themes = texts("sentiment_v1", "theme");
    assert!(themes.contains("Flavour") && themes.contains("flavour"), "{themes:?}");
    assert!(texts("answers_v2", "response").iter().any(|text| text.contains('\u{7}')));
}
