//! New and gone categories are each reported once, and exported files are kept.

use std::sync::Arc;

use profound_export::model::event::Event;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Simulator};

use crate::support::{Export, account, of_stream, on_memory_and_disk};

/// The same account, which from now on has `categories` categories.
async fn now_with(export: &mut Export, categories: usize) {
    let account = Account { categories, now: Some(export.simulator.now()), ..account() };
    let simulator = Simulator::start(Arc::new(export.catalog.clone()), account).await.unwrap();
    export.api.base_url = simulator.url().parse().unwrap();
    export.simulator = Arc::new(simulator);
}

/// Notices and warnings since the last call.
fn take_messages(export: &Export) -> (Vec<String>, Vec<String>) {
    let (mut notices, mut warnings) = (Vec::new(), Vec::new());
    for event in export.take_events() {
        match event {
            Event::Notice { message } => notices.push(message),
            Event::Warning { message } => warnings.push(message),
            _ => {}
        }
    }
    (notices, warnings)
}

on_memory_and_disk! {
    async fn new_and_gone_categories_are_reported_once(place) {
        let mut export = Export::start(place, account(), &["visibility_v2", "category_tags"]).await;
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        assert_eq!(take_messages(&export), (vec![], vec![]), "in the first run every category is new");

        now_with(&mut export, 3).await;
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete);
        let third = export.simulator.scopes(export.stream("visibility_v2").scope).remove(2).category.unwrap();
        assert_eq!(take_messages(&export), (vec![format!("category {:?} is new: its earlier days follow as backfill", third.name)], vec![]));
        let requested = of_stream(&received, "visibility_v2");
        assert!(requested.iter().any(|request| request.body["category_id"] == third.id.as_str()
            && request.body["start_date"] == "2026-03-06"));
        export.run().await;
        assert_eq!(take_messages(&export), (vec![], vec![]));

        let before = export.files().await;
        now_with(&mut export, 2).await;
        assert_eq!(export.run().await.outcome, Outcome::Failed, "the list may be a part of itself");
        assert_eq!(take_messages(&export), (vec![], vec![]));
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        let gone = format!("category {:?} is no longer in the account; its data is kept", third.name);
        assert_eq!(take_messages(&export), (vec![], vec![gone]));
        export.run().await;
        assert_eq!(take_messages(&export), (vec![], vec![]));
        let after = export.files().await;
        let of_third: Vec<_> = before.keys().filter(|path| path.contains(&third.id)).collect();
        assert!(!of_third.is_empty() && of_third.into_iter().all(|path| before[path] == after[path]));

        now_with(&mut export, 3).await;
        export.run().await;
        assert_eq!(take_messages(&export).0, [format!("category {:?} is back in the account", third.name)]);
        export.run().await;
        assert_eq!(take_messages(&export), (vec![], vec![]));
    }
}

on_memory_and_disk! {
    async fn unselected_categories_are_neither_new_nor_gone(place) {
        let mut export = Export::start(place, account(), &["visibility_v2"]).await;
        export.job.categories = vec![export.categories()[0].clone()];
        export.run().await;
        export.job.categories = Vec::new();
        export.run().await;
        assert_eq!(take_messages(&export), (vec![], vec![]), "the second category was always in the account");

        export.job.categories = vec![export.categories()[0].clone()];
        export.run().await;
        now_with(&mut export, 3).await;
        export.run().await;
        assert_eq!(take_messages(&export), (vec![], vec![]), "the job does not select the third");
        export.job.categories = Vec::new();
        export.run().await;
        assert_eq!(take_messages(&export).0.len(), 1, "this job selects the third");
    }
}
