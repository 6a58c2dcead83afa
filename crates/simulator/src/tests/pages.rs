//! Pages of every kind, the limits of bodies, and their unknown members.

use super::*;

/// Every row of a list, read page by page: `next` makes the parameter of each page from the page before it.
async fn all_pages(sim: &Simulator, path: &str, next: impl Fn(&Value, usize) -> Option<String>) -> Vec<Value> {
    let (mut rows, mut further) = (Vec::new(), String::new());
    for _ in 0..100 {
        let (status, page) = read(get(sim, &format!("{path}{further}")).await).await;
        assert_eq!(status, 200, "{page}");
        rows.extend(page["data"].as_array().unwrap().clone());
        match next(&page, rows.len()) {
            Some(parameter) => further = format!("&{parameter}"),
            None => return rows,
        }
    }
    panic!("{path} never ends");
}

/// The first organization's id.
fn organization(sim: &Simulator) -> String {
    sim.scopes(ScopeKind::Organization)[0].organization.clone().unwrap().id
}

fn insights(sim: &Simulator, limit: u64) -> String {
    let days = r#"{"type":"date_range","since":"2026-08-10","until":"2026-08-12"}"#;
    let days: String = url::form_urlencoded::byte_serialize(days.as_bytes()).collect();
    let organization = organization(sim);
    format!(
        "/v1/ads/openai-ads/ad-account/insights?organization_id={organization}&aggregation_level=campaign\
         &time_granularity=daily&time_ranges[]={days}&limit={limit}"
    )
}

#[tokio::test]
async fn insights_continue_after_the_last_row_in_their_zone() {
    let sim = simulator(account()).await;
    let next = |page: &Value, _| {
        let more = page["has_more"] == true;
        more.then(|| format!("after={}", page["last_id"].as_str().unwrap()))
    };
    let rows = all_pages(&sim, &insights(&sim, 7), next).await;
    let expected = sim.rows(
        &stream("openai_ads_insights_campaign"),
        &sim.scopes(ScopeKind::Organization)[0],
        Some(days("2026-08-10", "2026-08-12")),
    );
    assert_eq!(rows.len(), expected.len());
    let ids: BTreeSet<String> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(ids.len(), rows.len());
    // Midnight in Los Angeles.
    let starts: BTreeSet<i64> = rows.iter().map(|row| row["start_time"].as_i64().unwrap()).collect();
    let first: jiff::Timestamp = "2026-08-10T07:00:00Z".parse().unwrap();
    assert_eq!(starts.first(), Some(&first.as_second()));
    assert_eq!(starts.len(), 3);
    assert!(rows.iter().all(|row| row["timezone"] == "America/Los_Angeles"));
    assert_eq!(get(&sim, &insights(&sim, 2001)).await.status(), 422);
    assert_eq!(get(&sim, &format!("{}&after=unknown", insights(&sim, 7))).await.status(), 422);
}

#[tokio::test]
async fn lists_have_cursor_and_offset_pages() {
    let rows = [("documents", 120), ("projects", 45), ("content_optimizations", 12)];
    let rows_per_day = rows.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
    let sim = simulator(Account { rows_per_day, ..account() }).await;
    let by_cursor = |page: &Value, _| {
        let token = page["pagination"]["next_cursor"].as_str();
        token.map(|token| format!("next_cursor={token}"))
    };
    let documents = format!("/v1/documents?organization_id={}&limit=50", organization(&sim));
    assert_eq!(all_pages(&sim, &documents, by_cursor).await.len(), 120);
    // Lists that move have pages without rows in between.
    assert_eq!(sim.requests().len(), 5);
    let category = sim.scopes(ScopeKind::Category)[0].category.clone().unwrap().id;
    let projects = format!("/v1/projects?category_id={category}&limit=20");
    let by_short_page = |page: &Value, read: usize| {
        assert!(page.get("info").is_none(), "a total is announced");
        (page["data"].as_array().unwrap().len() == 20).then(|| format!("offset={read}"))
    };
    assert_eq!(all_pages(&sim, &projects, by_short_page).await.len(), 45);
    assert_eq!(get(&sim, &format!("/v1/projects?category_id={category}&limit=201")).await.status(), 422);
    let asset = sim.scopes(ScopeKind::CategoryAsset)[0].asset.clone().unwrap().id;
    let contents = format!("/v1/content/{asset}/optimization?limit=5");
    let by_total = |page: &Value, read: usize| {
        (read < page["info"]["total_rows"].as_u64().unwrap() as usize).then(|| format!("offset={read}"))
    };
    assert_eq!(all_pages(&sim, &contents, by_total).await.len(), 12);
}

/// The status of a request of `stream` for the first category, with `changes` to its body.
async fn status(sim: &Simulator, name: &str, changes: &[(&str, Value)]) -> u16 {
    let stream = stream(name);
    let scope = &sim.scopes(stream.scope)[0];
    let mut body = Value::Object(stream.body.clone());
    body["category_id"] = json!(scope.category.as_ref().unwrap().id);
    body["start_date"] = json!("2026-08-18");
    body["end_date"] = json!("2026-08-18");
    for (member, value) in changes {
        body[member] = value.clone();
    }
    post(sim, &stream.request.path, &body).await.status().as_u16()
}

#[tokio::test]
async fn limit_at_the_top_of_a_body_is_bounded() {
    let sim = simulator(account()).await;
    let clusters = "accuracy_inaccurate_clusters";
    for (member, value, expected) in [
        ("limit", json!(10_000), 200),
        ("limit", json!(10_001), 422),
        ("limit", json!(0), 422),
        ("offset", json!(-1), 422),
    ] {
        assert_eq!(status(&sim, clusters, &[(member, value.clone())]).await, expected, "{member} {value}");
    }
    assert_eq!(status(&sim, "accuracy_top_inaccurate_claims", &[("limit", json!(101))]).await, 422);
}

#[tokio::test]
async fn undocumented_end_date_follows_the_account() {
    for (undocumented_end, expected) in [
        (UndocumentedEnd::Inclusive, (200, true)),
        (UndocumentedEnd::Empty, (200, false)),
        (UndocumentedEnd::Rejected, (422, false)),
    ] {
        let sim = simulator(Account { undocumented_end, ..account() }).await;
        let clusters = stream("accuracy_inaccurate_clusters");
        let scope = &sim.scopes(ScopeKind::Category)[0];
        let (status, page) =
            read(ask(&sim, &clusters, scope, Some(days("2026-08-18", "2026-08-18")), &BTreeMap::new()).await).await;
        let rows = page["data"].as_array().is_some_and(|rows| !rows.is_empty());
        assert_eq!((status, rows), expected, "{undocumented_end:?}");
    }
}

#[tokio::test]
async fn unknown_members_and_groupings_are_rejected() {
    let sim = simulator(account()).await;
    let name = "youtube_channels_v2_by_channel";
    assert_eq!(status(&sim, name, &[]).await, 200);
    assert_eq!(status(&sim, name, &[("unknown", json!(1))]).await, 422);
    assert_eq!(status(&sim, name, &[("group_by", json!(["unknown"]))]).await, 422);
}
