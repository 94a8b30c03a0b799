//! Answers about users -> plain data. Pure.

use std::collections::BTreeSet;

use ::redis::Value;

use crate::model::redis::AclUser;

/// Names in an answer to `ACL USERS` that start with `prefix`.
pub(super) fn users(value: &Value, prefix: &str) -> Option<BTreeSet<String>> {
    let Value::Array(names) = value else { return None };
    let names: Option<Vec<String>> = names.iter().map(text).collect();
    Some(names?.into_iter().filter(|name| name.starts_with(prefix)).collect())
}

/// The answer to `ACL GETUSER`: the outer option says whether it was understood, the inner one whether there is
/// such a user.
pub(super) fn user(value: &Value) -> Option<Option<AclUser>> {
    let fields = match value {
        Value::Nil => return Some(None),
        Value::Array(fields) => fields,
        _ => return None,
    };
    let field = |wanted: &str| {
        let mut pairs = fields.chunks_exact(2);
        pairs
            .find(|pair| text(&pair[0]).as_deref() == Some(wanted))
            .map(|pair| &pair[1])
    };
    let list = |value: &Value| match value {
        Value::Array(items) => items.iter().map(text).collect::<Option<BTreeSet<String>>>(),
        _ => None,
    };
    Some(Some(AclUser {
        enabled: list(field("flags")?)?.contains("on"),
        hashes: list(field("passwords")?)?,
        commands: text(field("commands")?)?,
        keys: text(field("keys")?)?,
        channels: text(field("channels")?)?,
    }))
}

/// A string answer of either kind.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn answer(commands: Value) -> Value {
        Value::Array(vec![
            bulk("flags"),
            Value::Array(vec![bulk("on")]),
            bulk("passwords"),
            Value::Array(vec![bulk("bb"), bulk("aa")]),
            bulk("commands"),
            commands,
            bulk("keys"),
            bulk("~*"),
            bulk("channels"),
            bulk("&*"),
            bulk("selectors"),
            Value::Array(vec![]),
        ])
    }

    #[test]
    fn a_user_is_read_field_by_field() {
        let user = user(&answer(bulk("+@all -@dangerous"))).unwrap().unwrap();
        assert!(user.enabled);
        assert_eq!(user.hashes.into_iter().collect::<Vec<_>>(), ["aa", "bb"]);
        assert_eq!(
            (user.commands.as_str(), user.keys.as_str()),
            ("+@all -@dangerous", "~*")
        );
    }

    #[test]
    fn no_such_user_is_not_the_same_as_an_answer_not_understood() {
        assert_eq!(user(&Value::Nil), Some(None));
        assert_eq!(user(&Value::Okay), None);
        assert_eq!(user(&answer(Value::Int(1))), None);
    }

    #[test]
    fn only_users_with_the_prefix_are_named() {
        let all = Value::Array(vec![bulk("default"), bulk("rrs-link-a"), bulk("rrs-probe")]);
        assert_eq!(
            users(&all, "rrs-link-").unwrap().into_iter().collect::<Vec<_>>(),
            ["rrs-link-a"]
        );
        assert_eq!(users(&Value::Nil, "rrs-link-"), None);
    }
}
