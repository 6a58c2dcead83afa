//! Why there is no report.

use crate::destination::DestinationError;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error("cannot query the rows of the lake")]
    Sql(#[from] rusqlite::Error),
    #[error("no day of the streams that a report shows is exported")]
    NoDays,
    #[error("no category is called `{wanted}` or has that id")]
    NoCategory { wanted: String, known: Vec<String> },
    #[error("cannot draw a chart: {0}")]
    Chart(String),
}

impl ReportError {
    /// What an operator can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Destination(error) => error.hint().to_string(),
            Self::NoDays => {
                "the streams of the tier `minimal` are enough for most figures; `profound-export run` exports them"
                    .into()
            }
            Self::NoCategory { known, .. } => format!("the lake has {}", listed(known)),
            Self::Sql(_) => {
                "the rows of one category must fit on the disk of the temporary directory: TMPDIR names another".into()
            }
            Self::Chart(_) => "this is a fault of the program; please report it".into(),
        }
    }
}

/// The first of `names`, and how many others there are.
pub fn listed(names: &[String]) -> String {
    const NAMED: usize = 10;
    let named: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
