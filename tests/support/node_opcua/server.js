// An OPC UA server of a second make for the end-to-end tests (node-opcua), told by lines of JSON on
// standard input what to do. It has what asyncua has not: history, ranges, transfer of subscriptions.
//
//   node server.js PORT FOLDER      FOLDER is its own: keys and certificates are made in it
//
// It prints {"ready":true} when it listens, and one line for each line that it was told, in order:
// {"ok":true,...}, or {"error":"..."}. Each variable is nsu=urn:riskgate:test;s=NAME.
//
//   {"do":"add","name":N,"type":"Double","value":V}   "history":true keeps what it was; "range":[low,high]
//                                                     makes it an analog item with an EURange; "array":true
//   {"do":"set","name":N,"value":V}                   "status":"BadSensorFailure", "at": ms since 1970
//   {"do":"remove","name":N}
//   {"do":"alarm","name":N,"condition":C,"high":L}    a variable of 0 and an alarm that watches it
//   {"do":"calls"}                                    the methods that were called, as node ids
//   {"do":"reset"}                                    as it began: no variable, no session, no subscription
//   {"do":"drop","subscriptions":B}                   ends every session; with B its subscriptions too
//   {"do":"sampled","name":N}                         the value that N's item took last
//   {"do":"mute","name":N}                            the subscription of N's item never publishes again
//   {"do":"count"}                                    sessions and subscriptions
//
// The end of standard input ends it.

import path from "node:path";
import readline from "node:readline";

import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import { MessageSecurityMode, SecurityPolicy } from "node-opcua-secure-channel";
import { nodesets } from "node-opcua-nodesets";
import { OPCUAServer } from "node-opcua-server";
import { StatusCodes } from "node-opcua-status-code";
import { DataType, Variant, VariantArrayType } from "node-opcua-variant";

const NAMESPACE = "urn:riskgate:test";
const HISTORY_VALUES_MAX = 10_000;

const [port, folder] = process.argv.slice(2);
const certificates = (name) =>
  new OPCUACertificateManager({ rootFolder: path.join(folder, name), automaticallyAcceptUnknownCertificate: true });

const server = new OPCUAServer({
  port: Number(port),
  host: "127.0.0.1",
  hostname: "127.0.0.1",
  resourcePath: "/riskgate",
  nodeset_filename: [nodesets.standard],
  securityModes: [MessageSecurityMode.None],
  securityPolicies: [SecurityPolicy.None],
  serverCertificateManager: certificates("server"),
  userCertificateManager: certificates("users"),
  serverInfo: { applicationUri: "urn:riskgate:test:server", productUri: "urn:riskgate:test:server" },
  // Without security the standard lets nobody take over a subscription; many servers do.
  allowAnonymousSubscriptionTransferOnUnsecuredChannel: true,
});

const variables = new Map();
const calls = [];

function variant(type, value, array) {
  return new Variant({
    dataType: DataType[type],
    arrayType: array ? VariantArrayType.Array : VariantArrayType.Scalar,
    value: type === "DateTime" ? new Date(value) : value,
  });
}

// The one item of a variable, and its subscription: of a session, or of one that is gone.
function itemOf(name) {
  const { node } = variables.get(name);
  const sessions = Object.values(server.engine._sessions);
  const engines = [...sessions.map((session) => session.publishEngine), server.engine._orphanPublishEngine];
  for (const subscription of engines.flatMap((engine) => engine?.subscriptions ?? [])) {
    for (const item of subscription.monitoredItems.values()) {
      if (item.node === node) {
        return { item, subscription };
      }
    }
  }
  throw new Error(`nobody monitors ${name}`);
}

const commands = {
  add({ name, type = "Double", value, history = false, range, array = false }) {
    const space = server.engine.addressSpace;
    const namespace = space.getNamespace(NAMESPACE);
    const options = {
      nodeId: `s=${name}`,
      browseName: name,
      dataType: type,
      valueRank: array ? 1 : -1,
      organizedBy: space.rootFolder.objects,
      value: variant(type, value, array),
    };
    const node = range
      ? namespace.addAnalogDataItem({ ...options, engineeringUnitsRange: { low: range[0], high: range[1] } })
      : namespace.addVariable(options);
    variables.set(name, { node, type, array });
    commands.set({ name, value });
    if (history) {
      space.installHistoricalDataNode(node, { maxOnlineValues: HISTORY_VALUES_MAX });
    }
  },

  set({ name, value, status = "Good", at }) {
    const { node, type, array } = variables.get(name);
    const time = at === undefined ? new Date() : new Date(at);
    node.setValueFromSource(variant(type, value, array), StatusCodes[status], time);
  },

  remove({ name }) {
    server.engine.addressSpace.deleteNode(variables.get(name).node);
    variables.delete(name);
  },

  alarm({ name, condition, high }) {
    const space = server.engine.addressSpace;
    const namespace = space.getNamespace(NAMESPACE);
    const node = namespace.addVariable({
      nodeId: `s=${name}`,
      browseName: name,
      dataType: "Double",
      organizedBy: space.rootFolder.objects,
      eventSourceOf: space.rootFolder.objects.server,
      value: variant("Double", 0, false),
    });
    variables.set(name, { node, type: "Double", array: false });
    const alarm = namespace.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
      browseName: `${name}.${condition}`,
      conditionName: condition,
      conditionSource: node,
      inputNode: node,
      organizedBy: space.rootFolder.objects,
      highLimit: high,
      optionals: ["SuppressedState"],
    });
    alarm.setEnabledState(true);
  },

  calls() {
    return { calls };
  },

  reset() {
    commands.drop({ subscriptions: true });
    for (const name of [...variables.keys()]) {
      commands.remove({ name });
    }
  },

  drop({ subscriptions }) {
    for (const session of Object.values(server.engine._sessions)) {
      server.engine.closeSession(session.authenticationToken, subscriptions, "Terminated");
    }
  },

  sampled({ name }) {
    return { value: itemOf(name).item.oldDataValue?.value.value ?? null };
  },

  mute({ name }) {
    const { subscription } = itemOf(name);
    clearInterval(subscription.timerId);
    subscription.timerId = null;
  },

  count() {
    const { currentSessionCount, currentSubscriptionCount } = server.engine;
    return { sessions: currentSessionCount, subscriptions: currentSubscriptionCount };
  },
};

function answer(line) {
  try {
    const told = JSON.parse(line);
    return { ok: true, ...commands[told.do](told) };
  } catch (error) {
    return { error: String(error) };
  }
}

await server.initialize();
server.engine.addressSpace.registerNamespace(NAMESPACE);
server.engine.addressSpace.installAlarmsAndConditionsService();
server.on("request", (request) => {
  for (const { methodId } of request.methodsToCall ?? []) {
    calls.push(methodId.toString());
  }
});
await server.start();
console.log(JSON.stringify({ ready: true }));
for await (const line of readline.createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(answer(line)));
}
await server.shutdown(0);
process.exit(0);
