//! Node ids and elements of arrays, as an engineer writes them.

use opcua::types::{ByteString, Guid};

/// A node id: `ns=2;s=Tank.Level`, `nsu=http://vendor/;s=Tank.Level`, `i=2258`, and with a GUID `g=` or
/// an opaque `b=` in Base64. The URI form holds across a restart that renumbers the namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    pub namespace: Namespace,
    pub id: NodeName,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Namespace {
    Index(u16),
    Uri(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeName {
    Numeric(u32),
    Text(String),
    Guid(Guid),
    Opaque(ByteString),
}

/// One element of an array: an index for each dimension, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Element(Box<[u32]>);

/// What is wrong with the text of a node id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no node id: {why}; {NODE_HINT}")]
pub struct NodeError {
    pub text: String,
    pub why: &'static str,
}

/// What to write instead of what is no node id.
pub const NODE_HINT: &str = "write ns=2;s=Name, nsu=URI;s=Name, i=Number, g=GUID or b=Base64";

/// Dimensions of an array; the tables of a controller have one or two.
const DIMENSIONS_MAX: usize = 8;

impl Node {
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        let fault = |why| NodeError { text: text.to_owned(), why };
        let (namespace, rest) = if let Some(rest) = text.strip_prefix("ns=") {
            let (index, rest) = rest.split_once(';').ok_or(fault("no ';' after the namespace"))?;
            (Namespace::Index(index.parse().map_err(|_| fault("the namespace index is 0 to 65535"))?), rest)
        } else if let Some(rest) = text.strip_prefix("nsu=") {
            let (uri, rest) =
                split_uri(rest).ok_or(fault("no ';i=', ';s=', ';g=' or ';b=' after the URI"))?;
            if uri.is_empty() {
                return Err(fault("the URI is empty"));
            }
            (Namespace::Uri(uri.to_owned()), rest)
        } else {
            (Namespace::Index(0), text)
        };
        let id = match rest.split_once('=') {
            Some(("i", number)) => NodeName::Numeric(
                number.parse().map_err(|_| fault("i= takes a number from 0 to 4294967295"))?,
            ),
            Some(("s", name)) if !name.is_empty() => NodeName::Text(name.to_owned()),
            Some(("g", guid)) => NodeName::Guid(
                guid.parse().map_err(|_| fault("g= takes a GUID, 09087e75-8e5e-499b-954f-f2a9603db28a"))?,
            ),
            Some(("b", bytes)) if !bytes.is_empty() => {
                NodeName::Opaque(ByteString::from_base64(bytes).ok_or(fault("b= takes bytes in Base64"))?)
            }
            Some(_) | None => return Err(fault("it has none of i=, s=, g= and b=")),
        };
        Ok(Self { namespace, id })
    }
}

/// At the first `;` that an identifier follows: both URIs and identifiers may hold a `;`.
fn split_uri(text: &str) -> Option<(&str, &str)> {
    let at = text.match_indices(';').map(|(at, _)| at).find(|at| {
        text.get(at + 1..).is_some_and(|rest| ["i=", "s=", "g=", "b="].iter().any(|id| rest.starts_with(id)))
    })?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Namespace::Index(0) => {}
            Namespace::Index(index) => write!(f, "ns={index};")?,
            Namespace::Uri(uri) => write!(f, "nsu={uri};")?,
        }
        match &self.id {
            NodeName::Numeric(number) => write!(f, "i={number}"),
            NodeName::Text(name) => write!(f, "s={name}"),
            NodeName::Guid(guid) => write!(f, "g={guid}"),
            NodeName::Opaque(bytes) => write!(f, "b={}", bytes.as_base64()),
        }
    }
}

impl Element {
    /// `3`, or an index for each dimension: `1,2`. A range is refused: a point is one quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let indices: Option<Box<[u32]>> = text.split(',').map(|index| index.trim().parse().ok()).collect();
        indices.filter(|indices| indices.len() <= DIMENSIONS_MAX).map(Self)
    }

    pub fn indices(&self) -> &[u32] {
        &self.0
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, index) in self.0.iter().enumerate() {
            write!(f, "{}{index}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_id_is_written_as_it_was_read() {
        for text in [
            "ns=2;s=Tank.Level",
            "nsu=http://vendor/a;b/;s=Tank.Level",
            "i=2258",
            "ns=3;i=7",
            "ns=3;s=\"DB\".\"Level\"[3]",
            "ns=4;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            "nsu=urn:plant;b=M/RbKBsRVkePCePcx24oRA==",
        ] {
            assert_eq!(Node::parse(text).map(|node| node.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_semicolon_belongs_to_whom_it_stands_with() {
        for (text, uri, name) in [
            ("nsu=urn:plant;s=Tank;Level", "urn:plant", "Tank;Level"),
            ("nsu=urn:plant;s=a;s=b;i=7", "urn:plant", "a;s=b;i=7"),
            ("nsu=http://v/a;b=1x/;s=T", "http://v/a", ""),
            ("nsu=http://v/a;v=1;s=T", "http://v/a;v=1", "T"),
        ] {
            let read = Node::parse(text);
            if name.is_empty() {
                assert_eq!(read.map_err(|error| error.why), Err("b= takes bytes in Base64"), "{text}");
            } else {
                let namespace = Namespace::Uri(uri.to_owned());
                assert_eq!(read, Ok(Node { namespace, id: NodeName::Text(name.to_owned()) }), "{text}");
            }
        }
    }

    #[test]
    fn a_text_that_is_no_node_id_says_what_is_wrong() {
        for (text, why) in [
            ("ns=2", "no ';' after the namespace"),
            ("ns=70000;i=1", "the namespace index is 0 to 65535"),
            ("ns=2;s=", "it has none of i=, s=, g= and b="),
            ("ns=2;b=", "it has none of i=, s=, g= and b="),
            ("Tank.Level", "it has none of i=, s=, g= and b="),
            ("i=-1", "i= takes a number from 0 to 4294967295"),
            ("g=7", "g= takes a GUID, 09087e75-8e5e-499b-954f-f2a9603db28a"),
            ("b=?", "b= takes bytes in Base64"),
            ("nsu=urn:plant;Tank", "no ';i=', ';s=', ';g=' or ';b=' after the URI"),
            ("nsu=;s=Tank", "the URI is empty"),
        ] {
            assert_eq!(Node::parse(text).map_err(|error| error.why), Err(why), "{text}");
        }
    }

    #[test]
    fn an_element_is_one_index_for_each_dimension() {
        let element = |text| Element::parse(text).map(|element| element.to_string());
        assert_eq!(element("3").as_deref(), Some("3"));
        assert_eq!(element("1, 2").as_deref(), Some("1,2"));
        for text in ["", "3:5", "-1", "a", "1,", "4294967296", "0,0,0,0,0,0,0,0,0"] {
            assert_eq!(element(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_read_as_another_node(text in "(ns=[0-9]{1,5};|nsu=[a-z:;/]{0,8};)?[isgb]=[ -~]{0,12}") {
            if let Ok(node) = Node::parse(&text) {
                let written = node.to_string();
                prop_assert_eq!(Node::parse(&written), Ok(node));
            }
        }
    }
}
