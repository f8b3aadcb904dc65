// An OPC UA server with security of a second make (node-opcua), which lets nobody in before a person trusts him.
//
//   node secured.js PORT FOLDER      its clients lie in FOLDER/keys/rejected and FOLDER/keys/trusted/certs
//
// It prints {"ready":true} when it listens. The user is gateway with the password open-sesame-4711. Told by
// lines of JSON on standard input, as server.js is: {"do":"set","value":V} and {"do":"count"}. The end of
// standard input ends it.

import path from "node:path";
import readline from "node:readline";

import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import { MessageSecurityMode, SecurityPolicy } from "node-opcua-secure-channel";
import { nodesets } from "node-opcua-nodesets";
import { OPCUAServer } from "node-opcua-server";
import { DataType, Variant } from "node-opcua-variant";

const [port, folder] = process.argv.slice(2);
const certificates = (name) => new OPCUACertificateManager({ rootFolder: path.join(folder, name) });

const server = new OPCUAServer({
  port: Number(port),
  host: "127.0.0.1",
  hostname: "127.0.0.1",
  resourcePath: "/riskgate",
  nodeset_filename: [nodesets.standard],
  securityModes: [MessageSecurityMode.SignAndEncrypt],
  securityPolicies: [SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes256_Sha256_RsaPss],
  serverCertificateManager: certificates("keys"),
  userCertificateManager: certificates("users"),
  serverInfo: { applicationUri: "urn:riskgate:test:server", productUri: "urn:riskgate:test:server" },
  userManager: { isValidUser: (name, password) => name === "gateway" && password === "open-sesame-4711" },
});

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

await server.initialize();
const namespace = server.engine.addressSpace.registerNamespace("urn:riskgate:test");
const variable = namespace.addVariable({
  browseName: "TT-201",
  nodeId: "s=TT-201",
  dataType: "Double",
  organizedBy: server.engine.addressSpace.rootFolder.objects,
});
const set = (value) => variable.setValueFromSource(new Variant({ dataType: DataType.Double, value }));
set(20);
await server.start();
say({ ready: true });

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const told = JSON.parse(line);
  if (told.do === "set") {
    set(told.value);
  }
  const { currentSessionCount, serverDiagnosticsSummary } = server.engine;
  say({ ok: true, sessions: currentSessionCount, ever: serverDiagnosticsSummary.cumulatedSessionCount });
});
lines.on("close", async () => {
  await server.shutdown();
  process.exit(0);
});
