//! Running one script.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use acervo::database::{Database, Options};
use mlua::{Function, Lua, MultiValue, Value};

use crate::{Run, host};

/// Why a run failed.
pub(crate) enum Failure {
    /// The database.
    Database(acervo::error::Error),
    /// The script's file.
    Read(PathBuf, std::io::Error),
    /// The script, with a traceback.
    Script(Vec<u8>),
    /// Lua itself.
    Lua(mlua::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "{error}"),
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Script(text) => f.write_str(&String::from_utf8_lossy(text)),
            Self::Lua(error) => write!(f, "{error}"),
        }
    }
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

impl From<acervo::error::Error> for Failure {
    fn from(error: acervo::error::Error) -> Self {
        Self::Database(error)
    }
}

/// What makes an error value a text with a traceback, as the `lua` program
/// does.
const HANDLER: &str = r#"
local traceback, tostring, type = debug.traceback, tostring, type
return function(err)
  if type(err) ~= "string" then
    local meta = debug.getmetatable(err)
    if not (meta and meta.__tostring) and type(err) ~= "number" then
      err = "(error object is a " .. type(err) .. " value)"
    end
  end
  return traceback(tostring(err), 2)
end
"#;

/// Runs the script; what it has put is on disk when this returns.
pub(crate) fn run(run: &Run) -> Result<(), Failure> {
    let source =
        std::fs::read(&run.script).map_err(|error| Failure::Read(run.script.clone(), error))?;
    let path = run.db.clone().unwrap_or_else(default_database);
    let database = Database::open(path.as_os_str().as_bytes(), &Options::default())?;
    let result = run_on(&database, run, &source);
    // The script's own failure is the one to tell.
    let closed = database.close();
    result?;
    Ok(closed?)
}

pub(crate) fn default_database() -> PathBuf {
    std::env::var_os("ACERVO_PATH")
        .filter(|path| !path.is_empty())
        .map_or_else(|| PathBuf::from("acervo.db"), PathBuf::from)
}

fn run_on(database: &Database, run: &Run, source: &[u8]) -> Result<(), Failure> {
    let lua = host::new_state();
    host::attach(&lua, database, run.ident.as_deref().map(OsStrExt::as_bytes))?;
    lua.load("require('acervo').install()").set_name("=acervo").exec()?;
    set_arguments(&lua, run)?;
    let handler: Function = lua.load(HANDLER).set_name("=acervo").eval()?;
    let protected_call: Function = lua.globals().get("xpcall")?;

    let name = [b"@", run.script.as_os_str().as_bytes()].concat();
    let chunk = lua
        .load(without_first_comment(source))
        .set_name(String::from_utf8_lossy(&name))
        .into_function()
        .map_err(|error| match error {
            // Its text is Lua's own: file, line and what was expected.
            mlua::Error::SyntaxError { message, .. } => Failure::Script(message.into_bytes()),
            error => Failure::Lua(error),
        })?;
    let mut arguments = MultiValue::new();
    for argument in &run.args {
        arguments.push_back(Value::String(lua.create_string(argument.as_bytes())?));
    }
    arguments.push_front(Value::Function(handler));
    arguments.push_front(Value::Function(chunk));
    let mut results: MultiValue = protected_call.call(arguments)?;
    if results.pop_front() == Some(Value::Boolean(true)) {
        return Ok(());
    }
    Err(Failure::Script(match results.pop_front() {
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        other => format!("{other:?}").into_bytes(),
    }))
}

/// The table `arg`, as the `lua` program sets it.
fn set_arguments(lua: &Lua, run: &Run) -> Result<(), Failure> {
    let arg = lua.create_table()?;
    let program = std::env::args_os().next().unwrap_or_else(|| OsString::from("acervo"));
    arg.raw_set(-2, lua.create_string(program.into_vec())?)?;
    arg.raw_set(-1, "run")?;
    arg.raw_set(0, lua.create_string(script_name(&run.script))?)?;
    for (argument, number) in run.args.iter().zip(1..) {
        arg.raw_set(number, lua.create_string(argument.as_bytes())?)?;
    }
    lua.globals().raw_set("arg", arg)?;
    Ok(())
}

fn script_name(script: &Path) -> &[u8] {
    script.as_os_str().as_bytes()
}

/// The source without a first line that begins with `#`, whose line end stays
/// so that the others keep their numbers.
fn without_first_comment(source: &[u8]) -> &[u8] {
    if source.first() != Some(&b'#') {
        return source;
    }
    let end = source.iter().position(|byte| *byte == b'\n').unwrap_or(source.len());
    &source[end..]
}
