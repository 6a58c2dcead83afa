//! The requests of an export, compared with other strategies.

use std::collections::BTreeMap;

use profound_export::model::format::format_number;
use profound_export::run::{Outcome, discover, preview};
use profound_export::simulator::Account;

use super::least::Least;
use crate::support::{self, Export, Place, day};

/// A measured export.
#[derive(Clone)]
struct Case {
    title: &'static str,
    streams: &'static str,
    categories: usize,
    first: &'static str,
    rows_per_day: BTreeMap<String, u64>,
    /// Whether cursors are followed; else their pages are computed.
    follows_cursors: bool,
}

impl Case {
    fn account(&self) -> Account {
        Account { categories: self.categories, rows_per_day: self.rows_per_day.clone(), ..support::account() }
    }

    /// An exporter with an empty lake. It is noon of 2026-03-10, so 2026-03-09 is the last day.
    async fn export(&self, event_streams: bool) -> Export {
        let mut export = Export::start(Place::Memory, self.account(), &[self.streams]).await;
        export.job.start = Some(day(self.first));
        export.api.event_streams = event_streams;
        export
    }

    /// Requests of a first run, as the simulator counts them.
    async fn sent_requests(&self, event_streams: bool) -> u64 {
        let (run, received) = self.export(event_streams).await.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}: {}", self.title, run.summary());
        received.iter().map(|request| u64::from(request.cost)).sum()
    }

    async fn row(&self) -> String {
        eprintln!("{}", self.title);
        let export = self.export(true).await;
        let settings = export.settings();
        let found = discover(&settings.catalog, &settings.client).await.unwrap();
        let wanted = preview(&settings, &export.goal(), &export.state().await, &found, None).unwrap().run.wanted;
        let least = Least::of(&export, &wanted);
        let ours = self.sent_requests(true).await;
        let cursors = if self.follows_cursors { self.sent_requests(false).await } else { least.pages };
        format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            self.title,
            format_number(least.rows),
            format_number(least.requests),
            format_number(ours),
            format_number(cursors),
            format_number(least.day_by_day),
        )
    }
}

/// The table of exports.
pub async fn table() -> String {
    let core = Case {
        title: "20 categories, 30 days, `core`",
        streams: "core",
        categories: 20,
        first: "2026-02-08",
        rows_per_day: BTreeMap::new(),
        follows_cursors: true,
    };
    let minimal = Case { title: "20 categories, 30 days, `minimal`", streams: "minimal", ..core.clone() };
    let answers = Case {
        title: "27,690 answers of one category, two days",
        streams: "answers_v2",
        categories: 1,
        first: "2026-03-08",
        rows_per_day: [("answers_v2".to_owned(), 13_845)].into(),
        // A run rejects more than twenty pages a day.
        follows_cursors: false,
    };
    let mut text =
        "| export | rows | least | ours | cursors | day by day |\n|---|---:|---:|---:|---:|---:|\n".to_owned();
    for case in [minimal, core, answers] {
        text.push_str(&case.row().await);
    }
    text
}
