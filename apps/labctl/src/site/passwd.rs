//! `labctl passwd`: sets a password.

use crate::{failure::Outcome, output, session::Session, site::login};
use http::{Method, Request, header};
use lab_kinds::iam::password::{PasswordRequest, PasswordRequestSpec};

/// Set a user's password, or one's own
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl passwd operator-1                          asks for the new password
  labctl passwd operator-1 --password-stdin < file  takes it from standard input
  labctl passwd operator-1 --current                changes one's own: asks for the present one as well")]
pub struct Args {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
    /// It is one's own: the present password is asked for
    #[arg(long, conflicts_with = "password_stdin")]
    current: bool,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let current = args.current.then(|| login::prompt("Present password: ")).transpose()?;
    let password = match args.password_stdin {
        true => login::from_stdin()?,
        false => typed_twice(&args.user)?,
    };
    let spec = PasswordRequestSpec { password, current_password: current };
    let body = serde_json::to_vec(&PasswordRequest { spec, ..PasswordRequest::default() })
        .map_err(|error| crate::failure::Failure::usage(error.to_string()))?;
    let doing = format!("set the password of {}", args.user);
    let user = percent_encoding::utf8_percent_encode(&args.user, percent_encoding::NON_ALPHANUMERIC);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/apis/iam.lab/v1alpha1/users/{user}/password"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .map_err(|error| crate::failure::Failure::usage(error.to_string()))?;
    session.client.send(&doing, request).await?;
    output::note(&format!("The password of {} is set.", args.user));
    Ok(())
}

fn typed_twice(user: &str) -> Outcome<String> {
    let password = login::prompt(&format!("New password of {user}: "))?;
    if login::prompt("Once more: ")? == password {
        Ok(password)
    } else {
        Err(crate::failure::Failure::usage("the two are not the same; nothing was changed"))
    }
}
