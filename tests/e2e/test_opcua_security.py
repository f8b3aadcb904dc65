"""OPC UA with security, as an engineer sets it up: what is refused says who refused, why, and what to type."""

import os
import pathlib
import re
import shlex
import subprocess

import pytest
from asyncua import ua
from support import peers
from support.node_server import SecuredNodeOpcUa
from support.opcua_secured import NAME, PASSWORD, Certified, SecuredOpcUa
from support.proxy import Proxy

POINT = "位号,名称,数据源,地址,数据类型,工程单位\nTT-201,R-201温度,sis,nsu=urn:riskgate:test;s=TT-201,f32,℃\n"


class Site:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.closers = binary, folder, []
        self.pki = folder / "state" / "pki"
        self.agent = peers.Agent(binary, folder, {})
        # Nobody listens upstream: what is read is looked at here.
        self.uplink_port = peers.free_port()

    def own(self, peer):
        self.closers.append(peer)
        return peer

    def server(self, **how):
        return self.own(SecuredOpcUa(self.folder / "server", **how))

    def close(self):
        # First: a server waits at its end for the clients that it has.
        self.agent.close()
        for peer in reversed(self.closers):
            peer.close()

    def write(self, url, *lines):
        gateway = f"""
[gateway]
company = "540170007"
id = "54017000701"
name = "端到端网关"

[uplink]
host = "127.0.0.1"
port = {self.uplink_port}
"""
        keys = "\n".join(lines)
        source = f'\n[[source]]\nid = "sis"\nname = "SIS"\nkind = "opcua"\nurl = "{url}"\nkeep_alive = "2s"\n{keys}\n'
        self.agent.write({"gateway.toml": gateway, "sources.toml": source, "points.csv": POINT})

    def opcua(self, *words):
        command = [self.binary, "opcua", *words, "--pki", self.pki]
        return subprocess.run(command, capture_output=True, text=True, timeout=peers.PATIENCE_S)

    def type(self, line):
        """A command as a sentence shows it, typed by a person."""
        program, *words = shlex.split(line)
        assert program == "riskgate", line
        done = subprocess.run([self.binary, *words], capture_output=True, text=True, timeout=peers.PATIENCE_S)
        assert done.returncode == 0, done.stdout + done.stderr

    def source(self):
        (source,) = peers.until("the board lists the source", lambda: self.agent.show("sources"))
        return source

    def until_up(self):
        up = lambda: self.source()["link"] == "up" and self.source()["bad"] == 0  # noqa: E731
        peers.until(lambda: f"up: {self.source()}\n{self.agent.log()}", up)

    def until_why(self, *words):
        """The reason why the source is down, once it says this."""

        def said():
            why = self.source()["why"] or ""
            return why if all(word in why for word in words) else None

        return peers.until(lambda: f"{words}: {self.source()}\n{self.agent.log()}", said)


@pytest.fixture
def site(binary, tmp_path):
    site = Site(binary, tmp_path)
    try:
        yield site
    finally:
        site.close()


def command_of(why):
    return re.search(r"riskgate opcua trust .*$", why).group()


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"])
def test_every_policy_and_mode_reads_with_every_kind_of_user(site, policy, mode):
    user = Certified(site.folder / "config", "user", uri="urn:user")
    server = site.server(bearer=user)
    (site.folder / "config" / "password").write_text(PASSWORD + "\n")
    for login in [
        [],
        [f'user = "{NAME}"', 'password_file = "password"'],
        ['user_certificate = "user.der"', 'user_key_file = "user-key.pem"'],
    ]:
        site.write(server.url, f'policy = "{policy}"', f'mode = "{mode}"', 'trust = "first"', *login)
        done = site.agent.process_once()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "TT-201" in done.stdout and "good" in done.stdout and PASSWORD not in done.stdout + done.stderr


def test_a_server_is_trusted_by_typing_what_the_refusal_says_and_again_after_it_was_renewed(site):
    server = site.server()
    site.write(server.url)
    once = site.agent.process_once()
    assert once.returncode == 1
    assert f"does not trust the certificate of the server at {server.url} yet" in once.stdout, once.stdout
    assert f"riskgate opcua trust {server.certified.thumbprint}" in once.stdout

    agent = site.agent.start()
    why = site.until_why("does not trust the certificate", server.certified.thumbprint)
    listed = site.opcua("list")
    assert listed.returncode == 0, listed.stderr
    for said in ["拒绝 refused", "CN=plant", "sis", server.url, server.certified.thumbprint, "本网关 own:"]:
        assert said in listed.stdout, listed.stdout
    site.type(command_of(why))
    site.until_up()
    shown = site.opcua("show", server.certified.thumbprint[:8])
    assert "信任 trusted" in shown.stdout and "urn:riskgate:test:plant" in shown.stdout, shown.stdout

    old = server.certified.thumbprint
    server.renew()
    server.open()
    why = site.until_why("has changed", f"it was {old}", f"and is {server.certified.thumbprint}")
    site.type(command_of(why))
    site.until_up()

    assert site.opcua("distrust", server.certified.thumbprint).returncode == 0
    site.until_why("was told to distrust")
    peers.until(lambda: f"no session: {server.sessions()}", lambda: server.sessions() == 0)
    assert "ERROR" not in agent.log() and "panicked" not in agent.log(), agent.log()


def test_a_server_that_does_not_trust_us_is_told_with_the_file_to_bring_there(site):
    server = site.server(trusting=False)
    site.write(server.url, 'trust = "first"')
    site.agent.start()
    why = site.until_why("does not accept riskgate's certificate (BadCertificateUntrusted)", "from rejected to trusted")
    file = re.search(r"a copy is (\S+)$", why).group(1)
    own = site.opcua("show", "own")
    assert file in own.stdout and "urn:riskgate:540170007:54017000701" in own.stdout, own.stdout
    assert os.stat(site.pki / "own" / "key.pem").st_mode & 0o777 == 0o600
    assert server.sessions() == 0
    server.trust_file(pathlib.Path(file))
    site.until_up()


def test_our_renewed_certificate_serves_only_when_the_server_trusts_it(site):
    """Thirty days before its end the old one still serves; the server is offered the new one with each start."""
    server = site.server(trusting=False)
    own = Certified(site.pki / "own", "riskgate 54017000701", uri="urn:riskgate:540170007:54017000701", days=30)
    own.certificate.rename(site.pki / "own" / "cert.der")
    own.key.rename(site.pki / "own" / "key.pem")
    server.trust_file(site.pki / "own" / "cert.der")
    site.write(server.url, 'trust = "first"')
    agent = site.agent.start()
    site.until_up()
    assert "is to follow riskgate's present one" in agent.log(), agent.log()
    shown = site.opcua("show", "own")
    assert own.thumbprint in shown.stdout and "将接替它" in shown.stdout, shown.stdout
    assert agent.stop() == 0

    (server.trusted / "cert.der").unlink()
    server.trust_file(site.pki / "next" / "cert.der")
    agent.start()
    site.until_up()


def test_a_wrong_password_is_told_and_leaves_nothing_behind(site):
    server = site.server(anonymous=False)
    (site.folder / "config").mkdir(exist_ok=True)
    (site.folder / "config" / "password").write_text("guessed-wrong-0815\n")
    site.write(server.url, 'trust = "first"', f'user = "{NAME}"', 'password_file = "password"')
    agent = site.agent.start()
    site.until_why(f"refuses user '{NAME}' (BadUserAccessDenied)", "password_file")
    peers.until(lambda: f"no session: {server.sessions()}", lambda: server.sessions() == 0)
    (site.folder / "config" / "password").write_text(PASSWORD + "\n")
    assert agent.command("reload").returncode == 0
    site.until_up()
    assert server.sessions() == 1
    log = agent.log()
    assert "guessed-wrong" not in log and PASSWORD not in log


def test_a_server_of_a_second_make_trusts_us_and_its_session_survives_a_cut(site):
    server = site.own(SecuredNodeOpcUa(site.folder / "node"))
    (site.folder / "config").mkdir(exist_ok=True)
    password = site.folder / "config" / "password"
    password.write_text("guessed-wrong-0815\n")
    proxy = site.own(Proxy(server.port))
    url = f"opc.tcp://127.0.0.1:{proxy.port}/riskgate"
    site.write(url, 'trust = "first"', f'user = "{NAME}"', 'password_file = "password"')
    agent = site.agent.start()
    why = site.until_why("does not accept riskgate's certificate (BadSecurityChecksFailed)", "from rejected to trusted")
    (file,) = server.trust_rejected()
    (thumbprint,) = re.findall(r"[0-9a-f]{40}", file)
    assert thumbprint in why, f"{file}: {why}"
    site.until_why(f"refuses user '{NAME}' (BadUserAccessDenied)")
    peers.until(lambda: f"no session: {server.sessions()}", lambda: server.sessions() == (0, 1))
    password.write_text(PASSWORD + "\n")
    assert agent.command("reload").returncode == 0
    site.until_up()
    assert server.sessions() == (1, 2)

    proxy.cut()
    peers.until(lambda: f"back: {site.source()}\n{agent.log()}", lambda: site.source()["connects"] == 2)
    site.until_up()
    assert server.sessions() == (1, 2), "the session came back, no other was made"


def test_what_the_server_does_not_offer_is_told_with_what_it_does(site):
    server = site.server(policies=[ua.SecurityPolicyType.Basic256Sha256_Sign])
    site.write(server.url)
    agent = site.agent.start()
    site.until_why(
        "offers no endpoint with security and mode SignAndEncrypt",
        "it offers: Basic256Sha256 Sign for anonymous, certificate, user name",
        'write mode = "Sign" in this source',
    )
    open_server = site.own(peers.OpcUa({"TT-201": 20.0}))
    site.write(open_server.url)
    assert agent.command("reload").returncode == 0
    site.until_why('write policy = "None" in this source')
    site.write(open_server.url, 'policy = "None"')
    assert agent.command("reload").returncode == 0
    site.until_up()
