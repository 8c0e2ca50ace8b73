use std::fmt;

use sandbar_policy::Secret;

use crate::TrustedKeys;

/// A user of a registry. It takes the place of what Docker's configuration says.
#[derive(Clone)]
pub struct RegistryLogin {
    /// The user's name.
    pub username: Secret,
    /// The password, or an access token that stands for one.
    pub password: Secret,
}

impl fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistryLogin(***)")
    }
}

/// How one component is fetched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access<'a> {
    /// The registry's user, where it is not to be looked up in Docker's configuration.
    pub login: Option<&'a RegistryLogin>,
    /// Keys of which one must have signed the component. Without them no signature is asked for.
    pub keys: Option<&'a TrustedKeys>,
    /// The longest component in bytes, where it is less than the registry's own bound.
    pub max_bytes: Option<u64>,
}
