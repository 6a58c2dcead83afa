//! Streams with one request per row of a parent.

use super::*;

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn child_stream_has_a_row_for_every_row_of_its_parent() {
    let sim = simulator(account()).await;
    let scopes = sim.scopes(ScopeKind::Category);
    let scope = &scopes[0];
    let projects = sim.rows(&stream("projects"), scope, None);
    let details = sim.rows(&stream("project_details"), scope, None);
    let ids = |rows: &[Value]| rows.iter().map(|row| text(row, "project_id")).collect::<Vec<_>>();
    assert_eq!(ids(&projects), ids(&details));
    let category = &scope.category.as_ref().unwrap().id;
    let (status, answer) = read(get(&sim, &format!("/v1/projects/unknown?category_id={category}")).await).await;
    assert_eq!((status, &answer["detail"]), (404, &json!("resource not found")));
    let other = &scopes[1].category.as_ref().unwrap().id;
    let elsewhere = format!("/v1/projects/{}?category_id={other}", ids(&projects)[0]);
    assert_eq!(get(&sim, &elsewhere).await.status(), 404);
}

#[tokio::test]
async fn version_that_the_parent_lacks_is_not_found() {
    let sim = simulator(account()).await;
    let agents = sim.rows(&stream("agents"), &Scope::default(), None);
    let draft = agents.iter().find(|agent| agent["status"] == "draft").unwrap();
    for (version, expected) in [("published", 404), ("draft", 200)] {
        let path = format!("/v1/agents/{}?version={version}", text(draft, "id"));
        assert_eq!(get(&sim, &path).await.status(), expected, "{version}");
    }
    let published = agents.iter().filter(|agent| agent["status"] == "published").count() as u64;
    let truth = sim.truth(&stream("agent_details"), &Scope::default(), None);
    assert_eq!(truth.rows, agents.len() as u64 + published);
}

#[tokio::test]
async fn only_touched_rows_change_and_have_a_new_timestamp() {
    let sim = simulator(account()).await;
    let scope = &sim.scopes(ScopeKind::Organization)[0];
    let read = |name: &str| sim.rows(&stream(name), scope, None);
    let (before, texts) = (read("documents"), read("document_contents"));
    sim.set_now("2026-08-20T18:00:00Z".parse().unwrap());
    sim.touch("documents", 2);
    let (after, later) = (read("documents"), read("document_contents"));
    assert!(after[..2].iter().all(|row| text(row, "updated_at").starts_with("2026-08-20T18:00:00")));
    assert_eq!(before[2..], after[2..]);
    assert!(texts[..2].iter().zip(&later).all(|(one, other)| one["content_markdown"] != other["content_markdown"]));
    assert_eq!(texts[2..], later[2..]);
    assert!(after.iter().any(|row| row["updated_at"].is_null()), "every row says when it changed");
}

#[tokio::test]
async fn children_of_a_day_belong_to_the_rows_of_that_day() {
    let sim = simulator(account()).await;
    let scope = &sim.scopes(ScopeKind::Category)[0];
    let (parent, child) = (stream("accuracy_inaccurate_clusters"), stream("accuracy_claim_citations"));
    let clusters = |day: &str| -> BTreeSet<String> {
        let rows = sim.rows(&parent, scope, Some(days(day, day)));
        rows.iter().map(|row| text(row, "clusterId")).collect()
    };
    let (one, other) = (clusters("2026-08-17"), clusters("2026-08-18"));
    let (day, gone) = (10..=19)
        .find_map(|day| {
            let day = format!("2026-08-{day}");
            let there = clusters(&day);
            one.difference(&there).next().map(|gone| (day.clone(), gone.clone()))
        })
        .unwrap();
    assert!(!one.is_empty() && !other.is_empty());
    for (day, status) in [("2026-08-17", 200), (day.as_str(), 404)] {
        let variables = BTreeMap::from([("cluster_id".to_owned(), gone.clone())]);
        assert_eq!(ask(&sim, &child, scope, Some(days(day, day)), &variables).await.status(), status, "{day}");
    }
    let asked: BTreeSet<String> = sim
        .requests_for(&child, scope, Some(days("2026-08-17", "2026-08-17")))
        .into_iter()
        .map(|(_, variables)| variables["cluster_id"].clone())
        .collect();
    assert_eq!(asked, one);
}

#[tokio::test]
async fn every_user_parameter_has_rows_of_its_own() {
    let sim = simulator(account()).await;
    let (stream, scope) = (stream("knowledge_base_search"), &sim.scopes(ScopeKind::Organization)[0]);
    let rows = |query: &str| {
        let given = [("knowledge_base_id", "kb"), ("query", query)];
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        sim.rows_with(&stream, scope, None, given)
    };
    assert_eq!(rows("tea"), rows("tea"));
    assert_ne!(rows("tea")[0]["id"], rows("coffee")[0]["id"]);
    assert_eq!(rows("tea")[0]["query"], "tea");
    assert!(sim.rows(&stream, scope, None).is_empty());
}

#[tokio::test]
async fn faults_change_rows_of_lists_and_of_children() {
    let sim = simulator(account()).await;
    sim.inject("extra_field".parse().unwrap());
    sim.inject("wrong_type:column=responseCount".parse().unwrap());
    let scope = &sim.scopes(ScopeKind::Category)[0];
    for name in ["projects", "project_details", "accuracy_claim_breakdown", "accuracy_inaccurate_clusters"] {
        let stream = stream(name);
        let window = stream.is_dated().then(|| days("2026-08-17", "2026-08-17"));
        let (_, variables) = sim.requests_for(&stream, scope, window).remove(0);
        let (_, answer) = read(ask(&sim, &stream, scope, window, &variables).await).await;
        let rows = rows_of(&stream, answer);
        assert!(rows.iter().all(|row| row["unknown_field"]["level"] == 1), "{name}");
        let wrong = stream.column("responseCount").is_some();
        assert!(!wrong || rows.iter().all(|row| row["responseCount"] == "not a number"), "{name}");
    }
}
