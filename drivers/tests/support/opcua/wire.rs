//! What goes to the server, read on the wire: without security the type of each request is in clear, and so
//! is each method that is called. On a secured channel nothing is in clear, and nothing is read here: there
//! the driver's own transport is what every request passes, and it lets through no others.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::{Arc, Mutex};

use opcua::types::{BinaryDecodable, CallRequest, ContextOwned, MethodId, NodeId, ObjectId, ObjectTypeId};
use tokio_util::sync::CancellationToken;

/// All that this driver may ever ask of a plant. There is no Write, no HistoryUpdate, and nothing that adds,
/// deletes or changes a node; and of the methods one.
const ALLOWED: &[ObjectId] = &[
    ObjectId::OpenSecureChannelRequest_Encoding_DefaultBinary,
    ObjectId::CloseSecureChannelRequest_Encoding_DefaultBinary,
    ObjectId::GetEndpointsRequest_Encoding_DefaultBinary,
    ObjectId::CreateSessionRequest_Encoding_DefaultBinary,
    ObjectId::ActivateSessionRequest_Encoding_DefaultBinary,
    ObjectId::CloseSessionRequest_Encoding_DefaultBinary,
    ObjectId::ReadRequest_Encoding_DefaultBinary,
    ObjectId::HistoryReadRequest_Encoding_DefaultBinary,
    ObjectId::CreateSubscriptionRequest_Encoding_DefaultBinary,
    ObjectId::DeleteSubscriptionsRequest_Encoding_DefaultBinary,
    ObjectId::TransferSubscriptionsRequest_Encoding_DefaultBinary,
    ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::DeleteMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::PublishRequest_Encoding_DefaultBinary,
    ObjectId::RepublishRequest_Encoding_DefaultBinary,
    ObjectId::CallRequest_Encoding_DefaultBinary,
];

/// The one object and method that may be called.
fn refresh() -> (NodeId, NodeId) {
    (ObjectTypeId::ConditionType.into(), MethodId::ConditionType_ConditionRefresh.into())
}

/// The requests of all connections through one proxy.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// By type.
    requests: BTreeMap<u32, usize>,
    /// Done once, when a request of this type is sent.
    then: Option<(ObjectId, CancellationToken)>,
    /// Each object and method that was called.
    calls: Vec<(NodeId, NodeId)>,
}

impl Recorder {
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let seen = self.0.lock().expect("no panic");
        seen.requests.keys().map(|id| name(*id)).collect()
    }

    /// How many requests of this type there were.
    pub(crate) fn count(&self, of: ObjectId) -> usize {
        self.0.lock().expect("no panic").requests.get(&(of as u32)).copied().unwrap_or(0)
    }

    pub(crate) fn n_refreshes(&self) -> usize {
        let seen = self.0.lock().expect("no panic");
        seen.calls.iter().filter(|call| **call == refresh()).count()
    }

    pub(crate) fn assert_nothing_but_reading(&self) {
        let seen = self.0.lock().expect("no panic");
        for id in seen.requests.keys() {
            let is_allowed = ALLOWED.iter().any(|allowed| *allowed as u32 == *id);
            assert!(is_allowed, "the driver sent a {}", name(*id));
        }
        for call in &seen.calls {
            assert_eq!(*call, refresh(), "the driver called another method");
        }
    }

    /// Cancels the token when the next request of this type is sent.
    pub(crate) fn at_next(&self, id: ObjectId, token: CancellationToken) {
        self.0.lock().expect("no panic").then = Some((id, token));
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection { recorder: self.clone(), unread: Vec::new(), begun: BTreeSet::new(), is_sealed: false }
    }
}

fn name(id: u32) -> String {
    ObjectId::try_from(id).map_or(format!("request {id}"), |id| {
        format!("{id:?}").trim_end_matches("_Encoding_DefaultBinary").to_owned()
    })
}

/// What one connection has sent, as chunks.
pub(crate) struct Connection {
    recorder: Recorder,
    unread: Vec<u8>,
    /// Requests of which the first chunk came: the type stands in it alone.
    begun: BTreeSet<u32>,
    /// Its channel is secured.
    is_sealed: bool,
}

/// Of a chunk: its type and size; then the ids of the channel and its token, the number, and the request.
const SIZE_AT: usize = 4;
const REQUEST_AT: usize = 20;
const BODY_AT: usize = 24;
/// Where the opening of a channel says its policy: behind the channel's id and the text's length.
const POLICY_AT: usize = 16;

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Connection {
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        if self.is_sealed {
            return;
        }
        self.unread.extend_from_slice(bytes);
        while let Some(size) = number_at(&self.unread, SIZE_AT).and_then(|size| usize::try_from(size).ok()) {
            if self.unread.len() < size {
                break;
            }
            let chunk: Vec<u8> = self.unread.drain(..size).collect();
            self.chunk(&chunk);
        }
    }

    fn chunk(&mut self, chunk: &[u8]) {
        let (kind, rest) = chunk.split_at(3);
        match kind {
            b"HEL" => {}
            // Its header holds the policy; nothing else is sent in one.
            b"OPN" => {
                self.note(ObjectId::OpenSecureChannelRequest_Encoding_DefaultBinary as u32);
                let policy = chunk.get(POLICY_AT..).expect("a policy");
                self.is_sealed = !policy.starts_with(b"http://opcfoundation.org/UA/SecurityPolicy#None");
            }
            b"MSG" | b"CLO" if self.is_sealed => {}
            b"MSG" | b"CLO" => {
                let request = number_at(chunk, REQUEST_AT).expect("a request");
                if self.begun.insert(request) {
                    let body = chunk.get(BODY_AT..).expect("a body");
                    let id = type_of(body);
                    self.note(id);
                    if id == ObjectId::CallRequest_Encoding_DefaultBinary as u32 {
                        assert!(rest.starts_with(b"F"), "a call in several chunks is more than a refresh");
                        self.call(body);
                    }
                }
                if rest.starts_with(b"F") {
                    self.begun.remove(&request);
                }
            }
            other => panic!("the driver sent a chunk of type {other:?}"),
        }
    }

    fn note(&self, id: u32) {
        let mut seen = self.recorder.0.lock().expect("no panic");
        *seen.requests.entry(id).or_default() += 1;
        if let Some((_, token)) = seen.then.take_if(|(then, _)| *then as u32 == id) {
            token.cancel();
        }
    }

    fn call(&self, body: &[u8]) {
        let context = ContextOwned::default();
        let context = context.context();
        let mut body = Cursor::new(body);
        let _type = NodeId::decode(&mut body, &context).expect("a type");
        let request = CallRequest::decode(&mut body, &context).expect("a call");
        let methods = request.methods_to_call.unwrap_or_default();
        let calls = methods.into_iter().map(|call| (call.object_id, call.method_id));
        self.recorder.0.lock().expect("no panic").calls.extend(calls);
    }
}

fn type_of(body: &[u8]) -> u32 {
    let context = ContextOwned::default();
    let id = NodeId::decode(&mut Cursor::new(body), &context.context()).expect("a type");
    id.as_object_id().map_or(u32::MAX, |id| id as u32)
}

#[cfg(test)]
mod tests {
    use opcua::types::{BinaryEncodable, CallMethodRequest, RequestHeader};

    use super::*;

    fn chunk(kind: &[u8; 4], request: u32, id: ObjectId) -> Vec<u8> {
        let mut body = Vec::new();
        let context = ContextOwned::default();
        NodeId::from(id).encode(&mut body, &context.context()).expect("it encodes");
        let size = u32::try_from(BODY_AT + body.len()).expect("short");
        let numbers = [size, 1, 1, 7, request].map(u32::to_le_bytes).concat();
        [kind.as_slice(), &numbers, &body].concat()
    }

    #[test]
    fn opcua_a_write_would_be_seen_however_it_is_cut_up() {
        let bytes = [
            chunk(b"MSGC", 1, ObjectId::ReadRequest_Encoding_DefaultBinary),
            chunk(b"MSGF", 1, ObjectId::Server),
            chunk(b"MSGF", 2, ObjectId::WriteRequest_Encoding_DefaultBinary),
        ]
        .concat();
        let recorder = Recorder::default();
        let mut connection = recorder.connection();
        for byte in bytes {
            connection.sent(&[byte]);
        }
        assert_eq!(recorder.names(), BTreeSet::from(["ReadRequest".to_owned(), "WriteRequest".to_owned()]));
        assert!(std::panic::catch_unwind(|| recorder.assert_nothing_but_reading()).is_err());
    }

    #[test]
    fn opcua_a_call_of_another_method_would_be_seen_beside_a_refresh() {
        let called = |method: MethodId| {
            let call = |method: MethodId| CallMethodRequest {
                object_id: ObjectTypeId::ConditionType.into(),
                method_id: method.into(),
                input_arguments: None,
            };
            let refresh = call(MethodId::ConditionType_ConditionRefresh);
            let request = CallRequest {
                request_header: RequestHeader::dummy(),
                methods_to_call: Some(vec![refresh, call(method)]),
            };
            let mut bytes = chunk(b"MSGF", 1, ObjectId::CallRequest_Encoding_DefaultBinary);
            let context = ContextOwned::default();
            request.encode(&mut bytes, &context.context()).expect("it encodes");
            let size = u32::try_from(bytes.len()).expect("short").to_le_bytes();
            bytes.splice(SIZE_AT..SIZE_AT + size.len(), size);
            let recorder = Recorder::default();
            recorder.connection().sent(&bytes);
            recorder
        };
        let refresh = called(MethodId::ConditionType_ConditionRefresh);
        refresh.assert_nothing_but_reading();
        assert_eq!(refresh.n_refreshes(), 2);
        let other = called(MethodId::AcknowledgeableConditionType_Acknowledge);
        assert!(std::panic::catch_unwind(|| other.assert_nothing_but_reading()).is_err());
    }
}
