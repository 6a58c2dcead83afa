//! `config`: the settings in force with the place that set each, or their JSON Schema.

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::setup::configuration;
use crate::cli::table::table;
use crate::cli::{GlobalOptions, OutputFormat, logging, print, print_json};
use crate::config::schema;

#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// `schema` prints the JSON Schema of jobs.toml, for editors
    #[arg(value_enum)]
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Schema,
}

pub fn execute(options: &GlobalOptions, args: ConfigArgs) -> Result<u8, Failure> {
    if args.what == Some(What::Schema) {
        return print_json(&schema());
    }
    logging::start(options, "config");
    let (_, config) = configuration(options)?;
    let settings = config.effective();
    match options.output {
        OutputFormat::Json => print_json(&json!(settings)),
        OutputFormat::Table => {
            let rows =
                settings.iter().map(|setting| vec![setting.key.clone(), setting.text(), setting.from.to_string()]);
            print(&table(&["setting", "value", "from"], rows))
        }
    }
}
