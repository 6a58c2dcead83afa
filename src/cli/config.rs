//! `config`: the settings in force with the place that set each, or their JSON Schema.

use crate::cli::failure::Failure;
use crate::cli::setup::configuration;
use crate::cli::table::table;
use crate::cli::{GlobalOptions, logging, print_json};
use crate::config::{Setting, schema};

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
    let row = |setting: &Setting| vec![setting.key.clone(), setting.text(), setting.from.to_string()];
    options.show(|| table(&["setting", "value", "from"], settings.iter().map(row)), || &settings)
}
