//! Streams whose rows say whether another stream has rows.

use jiff::{SignedDuration, Timestamp};

use crate::catalog::Catalog;
use crate::model::slice::Slice;
use crate::run::slice::ledger_view::LedgerView;

/// How long the signal of a list is valid.
const SIGNAL_VALID_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Whether a slice is worth its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// The slice may have rows.
    Open,
    /// No day of the slice has rows.
    Closed,
    /// The account or the category lacks what the slice is about; the text says what.
    NotEntitled(String),
}

/// What the gate of `slice` says. Without a signal, or if the published rows contradict it, the gate is open.
pub async fn gate(ledger: &LedgerView, catalog: &Catalog, slice: &Slice, now: Timestamp) -> Gate {
    let Some(gate) = slice.stream.gate.as_ref().and_then(|name| catalog.get(name)) else {
        return Gate::Open;
    };
    let own = ledger.coverage(slice).await;
    let of_gate = ledger.read(|state| state.scope(&gate.name, &slice.scope.key()).cloned()).await;
    let Some(of_gate) = of_gate else {
        return Gate::Open;
    };
    if gate.days.is_none() {
        let list = of_gate.whole.as_ref();
        let extracted_at = list.and_then(|list| list.extracted_at);
        let is_valid = extracted_at.is_some_and(|at| now.duration_since(at.to_timestamp()).abs() < SIGNAL_VALID_FOR);
        let is_false = list.is_some_and(|list| list.signal == Some(false));
        return if is_valid && is_false {
            let signal = gate.signal.as_deref().unwrap_or_default();
            Gate::NotEntitled(format!("`{}` says that `{signal}` is false", gate.name))
        } else {
            Gate::Open
        };
    }
    let has_no_rows = |day| of_gate.days.get(&day).is_some_and(|state| state.signal == Some(false));
    let is_closed = slice.window.is_some_and(|window| window.days().all(has_no_rows));
    let has_published_rows = |mark| own.as_ref().and_then(|own| own.state(mark)).is_some_and(|state| state.rows > 0);
    if is_closed && !slice.recorded_days().into_iter().any(has_published_rows) { Gate::Closed } else { Gate::Open }
}

/// The stream that says that `slice` must have rows, if one does.
pub async fn expects_rows(ledger: &LedgerView, slice: &Slice) -> Option<String> {
    let expects = slice.stream.expects.as_ref()?;
    let window = slice.window?;
    let has_rows = ledger.read(|state| {
        let days = state.scope(expects, &slice.scope.key()).map(|coverage| &coverage.days);
        days.is_some_and(|days| window.days().any(|day| days.get(&day).is_some_and(|state| state.signal == Some(true))))
    });
    has_rows.await.then(|| expects.clone())
}
