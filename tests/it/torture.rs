//! No row is lost or duplicated and no file is partial if the built program is killed at any instant. Many more seeds:
//! `cargo xtask torture`.

use crate::support::torture::{Tally, Torture};

#[tokio::test]
async fn lake_equals_a_clean_run_after_kills_at_random_instants() {
    let torture = Torture { program: env!("CARGO_BIN_EXE_profound-export").into(), bucket: None };
    let reach = torture.reach().await;
    let mut sum = Tally::default();
    for seed in 0..3 {
        sum += torture.seed(seed, reach).await;
    }
    assert_eq!(sum.problems, [""; 0]);
    assert_eq!((sum.partial, sum.unexpected, sum.lost, sum.duplicated, sum.spools_left), (0, 0, 0, 0, 0));
    assert!(sum.kills > 0 && sum.files > 0, "{sum:?}");
}
