//! `fabrik user`: accounts, for those who sit at the server.

use std::io::{IsTerminal, Write};

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use fabrik_http::server::{
    AdminError, UserSummary, create_temporary_admin, create_user, generate_reset_code, list_users, reset_password,
};

use super::exit::{Exit, Failure};
use super::output::Output;
use super::server_options::{ServerOptions, block_on};
use super::session::Session;
use super::table::{Column, Table};
use super::text::moment;

/// Make accounts, and let locked-out administrators in again.
#[derive(Debug, Args)]
pub(super) struct User {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input.
    Create {
        /// The name to log in with.
        name: String,
        /// The address for mail.
        #[arg(long, default_value = "")]
        email: String,
        /// Let the user do everything.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        options: ServerOptions,
    },
    /// Give a user another password, unlock the account, and end its sessions.
    ResetPassword {
        /// The name to log in with.
        name: String,
        #[command(flatten)]
        options: ServerOptions,
    },
    /// Make a code by which a user chooses a new password within half an hour.
    GenerateResetCode {
        /// The name to log in with.
        name: String,
        #[command(flatten)]
        options: ServerOptions,
    },
    /// List the users.
    List {
        #[command(flatten)]
        options: ServerOptions,
    },
    /// Add an administrator that deletes itself, and print its name and password.
    Recover {
        /// For how long.
        #[arg(long, default_value_t = 60, value_name = "MINUTES")]
        minutes: u16,
        #[command(flatten)]
        options: ServerOptions,
    },
}

impl User {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        block_on(async {
            match &self.command {
                UserCommand::Create { name, email, admin, options } => {
                    let state = options.open_state(session).await?;
                    create_user(&state, name, email, &ask_password()?, *admin).await.map_err(refused)?;
                    writeln!(session.out, "made the user {name}")?;
                }
                UserCommand::ResetPassword { name, options } => {
                    let state = options.open_state(session).await?;
                    reset_password(&state, name, &ask_password()?).await.map_err(refused)?;
                    writeln!(session.out, "{name} has a new password, is not locked, and is logged out everywhere")?;
                }
                UserCommand::GenerateResetCode { name, options } => {
                    let state = options.open_state(session).await?;
                    let (code, expires_at) = generate_reset_code(&state, name).await.map_err(refused)?;
                    let end = moment(expires_at);
                    writeln!(session.out, "{name} can choose a new password with the code {code} until {end}")?;
                }
                UserCommand::List { options } => {
                    let state = options.open_state(session).await?;
                    let users = list_users(&state).await.map_err(|error| Failure::refused(&error))?;
                    print_users(&users, &mut session.out)?;
                }
                UserCommand::Recover { minutes, options } => {
                    let state = options.open_state(session).await?;
                    let life = TimeDelta::minutes((*minutes).into());
                    let (name, password) = create_temporary_admin(&state, life).await.map_err(refused)?;
                    writeln!(
                        session.out,
                        "for {minutes} minutes there is the administrator {name} with the password {password}"
                    )?;
                }
            }
            Ok(Exit::Done)
        })
    }
}

fn print_users(users: &[UserSummary], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new([
        Column::long("NAME"),
        Column::long("E-MAIL"),
        Column::text("RIGHTS"),
        Column::text("STATE"),
        Column::text("PASSWORD"),
        Column::text("LAST LOGIN"),
    ]);
    for user in users {
        table.row([
            user.username.clone(),
            user.email.clone(),
            if user.is_admin { "admin" } else { "user" }.to_owned(),
            if user.is_active { "active" } else { "not active" }.to_owned(),
            user.auth_source.clone(),
            user.last_login.map_or_else(|| "never".to_owned(), moment),
        ]);
    }
    Ok(table.print(out)?)
}

fn refused(error: AdminError) -> Failure {
    match error {
        AdminError::Refused(sentence) => Failure::Refused(sentence),
        other => Failure::refused(&other),
    }
}

/// Asks for a password twice, or reads one line where nobody can be asked.
fn ask_password() -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| Failure::Refused(format!("cannot read the password: {error}"));
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(unreadable)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password("Password: ").map_err(unreadable)?;
    let again = rpassword::prompt_password("Password again: ").map_err(unreadable)?;
    if password == again { Ok(password) } else { Err(Failure::Refused("the two passwords do not match".to_owned())) }
}
