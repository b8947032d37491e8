//! The program `acervo`: runs Lua scripts with acervo's modules installed, on
//! machines that have no Lua, loads entries from files, checks databases and
//! copies them.

mod check;
mod document;
mod host;
mod load;
mod script;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Registry, store and versioned entries for agents.
#[derive(Parser)]
#[command(name = "acervo", version)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a Lua script with registry, store and errors installed.
    Run(Run),
    /// Makes the entries of a database what the files say, as one version.
    Load(Load),
    /// Checks a database file; exits with 0 if it is sound, with 1 if not, with
    /// 2 if it cannot be checked. Changes nothing, and may run while others use
    /// the file.
    Check(Check),
    /// Copies a database, as it is at one moment, to a new file. Others may use
    /// it meanwhile.
    Backup(Backup),
}

/// What to check.
#[derive(Args)]
struct Check {
    /// The database file; $ACERVO_PATH or ./acervo.db if it is not given.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What to copy, and where to.
#[derive(Args)]
struct Backup {
    /// The database file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The new file; nothing may be there yet.
    #[arg(value_name = "TO")]
    to: PathBuf,
}

/// What to load, and into which database.
#[derive(Args)]
struct Load {
    /// The database file; $ACERVO_PATH or ./acervo.db if it is not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Shows what would be done, in its order, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Files with entries, .json, .yaml or .yml: a list of entries, or
    /// {entries: [...]}. What none of them holds is deleted.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What to run, and on which database.
#[derive(Args)]
struct Run {
    /// The ident whose keys `store` works on; without it the global EXEC_IDENT
    /// or the environment's names it.
    #[arg(long, value_name = "NAME")]
    ident: Option<OsString>,
    /// The database file; $ACERVO_PATH or ./acervo.db if it is not given.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// The script.
    script: PathBuf,
    /// Arguments of the script: its `...` and the table `arg`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = match Program::parse().command {
        Command::Run(run) => script::run(&run).map_err(|failure| failure.to_string()),
        Command::Load(load) => load::run(&load).map_err(|failure| failure.to_string()),
        Command::Check(check) => {
            return match check::check(&check) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(failure) => fail(&failure.to_string(), ExitCode::from(2)),
            };
        }
        Command::Backup(backup) => check::backup(&backup).map_err(|failure| failure.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure, ExitCode::FAILURE),
    }
}

fn fail(failure: &str, code: ExitCode) -> ExitCode {
    // There is nobody left to tell if stderr is gone.
    let _ = writeln!(std::io::stderr(), "acervo: {failure}");
    code
}
