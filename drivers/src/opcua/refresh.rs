//! The only Call that there is: ConditionRefresh (OPC UA Part 9, 5.5.7). It has the server tell all its
//! conditions again on a subscription and changes nothing at the server or in the plant.
//!
//! No method but this one can be named here, and a Call is made nowhere else: a test reads the source for it,
//! and one on the wire counts what comes.

use opcua::client::Session;
use opcua::types::{CallMethodRequest, Error, MethodId, NodeId, ObjectTypeId, StatusCode, Variant};

use super::decode::code;

fn method() -> NodeId {
    NodeId::from(MethodId::ConditionType_ConditionRefresh)
}

/// Whether this is that Call and no other.
pub(super) fn is_one(call: &CallMethodRequest) -> bool {
    call.method_id == method()
}

/// Asks the server to tell all conditions on the subscription. Its answer only says that it will.
pub(super) async fn ask(session: &Session, subscription: u32) -> Result<(), Error> {
    let answer = session
        .call_one(CallMethodRequest {
            object_id: NodeId::from(ObjectTypeId::ConditionType),
            method_id: method(),
            input_arguments: Some(vec![Variant::from(subscription)]),
        })
        .await?;
    match code(answer.status_code) {
        // One that is still running will end.
        StatusCode::BadRefreshInProgress => Ok(()),
        status if status.is_bad() => Err(Error::new(status, "the server does not refresh its conditions")),
        _ => Ok(()),
    }
}
