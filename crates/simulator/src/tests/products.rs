//! Products that a category may lack.

use super::*;

#[tokio::test]
async fn gate_reports_whether_streams_behind_it_have_rows() {
    let sim = simulator(account()).await;
    let window = Some(days("2026-08-17", "2026-08-19"));
    let scopes = sim.scopes(ScopeKind::Category);
    let sum = |name: &str, scope: &Scope, column: &str| sim.truth(&stream(name), scope, window).sums[column];
    for (at, scope) in scopes.iter().enumerate() {
        let set_up = &sim.rows(&stream("accuracy_factcheck_setup_status"), scope, None)[0]["isSetupComplete"];
        assert_eq!(*set_up, json!(at + 1 < scopes.len()), "{at}");
        assert_eq!(sum("shopping_trigger_rate_v2", scope, "shopping_triggered_runs") > 0.0, at == 0, "{at}");
        assert_eq!(sum("youtube_summary_v2", scope, "total_youtube_citations") > 0.0, at == 0, "{at}");
    }
    let scope = scopes.last().unwrap();
    for name in ["factcheck_scores_v2_by_model", "shopping_brands_v2", "youtube_videos_v2", "accuracy_claim_citations"]
    {
        assert_eq!(sim.truth(&stream(name), scope, window).rows, 0, "{name}");
    }
    let claims = ask(&sim, &stream("factcheck_claims_v2"), scope, window, &BTreeMap::new()).await;
    let (status, answer) = read(claims).await;
    assert_eq!((status, &answer["data"], &answer["info"]["total_results"]), (200, &json!([]), &json!(0)));
}

#[tokio::test]
async fn every_category_has_a_product_of_all_holders() {
    let products = BTreeMap::from([("shopping_trigger_rate_v2".to_owned(), ProductHolders::All)]);
    let sim = simulator(Account { products, ..account() }).await;
    for scope in sim.scopes(ScopeKind::Category) {
        for name in ["shopping_brands_v2", "youtube_videos_v2", "factcheck_scores_v2_by_model"] {
            let truth = sim.truth(&stream(name), &scope, Some(days("2026-08-10", "2026-08-19")));
            assert_eq!(truth.days.len(), 10, "{name}: a stream behind a gate has rows every day");
        }
    }
}
