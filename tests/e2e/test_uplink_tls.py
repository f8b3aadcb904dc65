"""The broker upstream under TLS: certificates of both sides, logins from files, and words for each refusal."""

import os
import stat
import subprocess

import pytest
from support.papers import Authority
from support.peers import Mosquitto, Upstream, answers, free_port, until

PASSWORD = "s3cret-of-the-gateway"
OWN = 'tls = { ca_file = "plant-ca.pem", certificate_file = "gateway.crt", key_file = "gateway.key" }'
NONE = 'tls = { ca_file = "plant-ca.pem" }'


class Secured:
    """A mosquitto upstream under TLS, and the papers of both sides in the folders of each."""

    def __init__(self, site, settings="require_certificate true\nuse_identity_as_username true\n"):
        self.site = site
        self.authority = Authority("platform authority")
        self.papers = site.folder / "upstream-papers"
        self.authority.issue(self.papers, "broker")
        self.authority.write(self.papers / "ca.pem")
        self.ours = site.agent.config
        self.authority.issue(self.ours, "gateway")
        self.authority.write(self.ours / "plant-ca.pem")
        # Started as root it would become another user, who may not read the papers.
        settings += "user root\n" if os.geteuid() == 0 else ""
        settings += f"cafile {self.papers / 'ca.pem'}\ncertfile {self.papers / 'broker.crt'}\nkeyfile {self.papers / 'broker.key'}\n"
        # Without TLS, for the platform.
        self.plain = free_port()
        settings += f"listener {self.plain} 127.0.0.1\nallow_anonymous true\n"
        self.broker = site.own(Mosquitto(site.folder / "secured-upstream", settings))
        until("it listens without TLS", lambda: answers(self.plain))
        site.uplink_port = self.broker.port

    def upstream(self):
        return self.site.own(Upstream(self.plain))

    def configure(self, extra=OWN):
        files = self.site.files()
        files["gateway.toml"] += extra + "\n"
        self.site.agent.write(files)

    def restart_broker(self):
        self.broker.kill()
        self.broker.start()

    def until_refused(self, *words):
        agent = self.site.agent

        def said():
            return any(all(word in line for word in words) for line in agent.log().splitlines())

        until(lambda: f"a line with {words}:\n{agent.log()}", said)


def online(upstream):
    return any(body["status"] == "online" for _, body in upstream.seen("state"))


@pytest.mark.parametrize("newest", ["", "tls_version tlsv1.2\n"])
def test_each_refusal_says_which_side_refuses_why_and_what_to_do(site, newest):
    secured = Secured(site, "require_certificate true\nuse_identity_as_username true\n" + newest)
    upstream = secured.upstream()
    secured.configure(NONE)
    site.agent.start()
    secured.until_refused("the broker refuses us without a certificate", "write tls.certificate_file")
    site.agent.stop()
    secured.configure()
    Authority("another authority").issue(secured.ours, "gateway")
    site.agent.start()
    secured.until_refused("the broker refuses our certificate: it does not know who signed it", "must know the authority")
    # From here on without a restart: files that changed are taken up at the next try.
    secured.authority.issue(secured.ours, "gateway", days=(-30, -1))
    secured.until_refused("the broker refuses our certificate: it has expired", "renew tls.certificate_file")
    secured.authority.issue(secured.ours, "gateway")
    until("it is online", lambda: online(upstream))
    secured.authority.issue(secured.papers, "broker", names=["mq1.platform"])
    secured.restart_broker()
    secured.until_refused("we refuse the broker's certificate", "not made out to '127.0.0.1' but to mq1.platform", "server_name")
    secured.authority.issue(secured.papers, "broker", days=(-30, -1))
    secured.restart_broker()
    secured.until_refused("we refuse the broker's certificate", "it expired at", "renew it at the broker")
    Authority("another authority").issue(secured.papers, "broker")
    secured.restart_broker()
    secured.until_refused("we refuse the broker's certificate", "nobody in", "tls.ca_file")


def test_a_hazard_reaches_the_platform_and_renewed_papers_of_both_sides_are_taken_up(site):
    secured = Secured(site)
    upstream = secured.upstream()
    secured.configure()
    site.agent.start()
    site.all_good()
    until("it is online", lambda: online(upstream))
    assert "u'gateway'" in secured.broker.log()
    secured.broker.kill()
    secured.authority = Authority("platform authority, second")
    secured.authority.write(secured.papers / "ca.pem")
    secured.authority.write(secured.ours / "plant-ca.pem")
    secured.authority.issue(secured.papers, "broker")
    secured.authority.issue(secured.ours, "gateway")
    upstream.subscribed.clear()
    before = len(upstream.seen("birth"))
    secured.broker.start()
    until("both are back", lambda: upstream.subscribed.is_set() and len(upstream.seen("birth")) > before)
    site.modbus.set_f32(10, 95.0)
    until("the hazard arrives", lambda: upstream.objects("hazard/"))
    # A certificate that was renewed is no other configuration.
    assert "not changed" in site.agent.command("reload").stdout


def test_name_and_password_come_from_credentials_and_stand_in_no_log(site):
    words = site.folder / "broker-words"
    words.write_text(f"gateway:{PASSWORD}\n")
    words.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert subprocess.run(["mosquitto_passwd", "-U", words], check=False).returncode == 0
    # Who gives no name is let in, and who gives one must know its password.
    secured = Secured(site, f"password_file {words}\n")
    upstream = secured.upstream()
    credentials = site.folder / "credentials"
    credentials.mkdir()
    (credentials / "user").write_text("gateway\n")
    (credentials / "password").write_text("wrong-password\n")
    secured.configure(
        NONE + '\nuser_file = "$CREDENTIALS_DIRECTORY/user"\npassword_file = "$CREDENTIALS_DIRECTORY/password"'
    )
    done = site.agent.process_once()
    assert done.returncode != 0 and "LoadCredential" in done.stderr, done.stderr
    site.agent.environment = {"CREDENTIALS_DIRECTORY": str(credentials), "RUST_LOG": "trace", "RISKGATE_LOG": "trace"}
    site.agent.start()
    secured.until_refused("it refuses us", "password_file")
    # Without a restart: the files are read anew for each connection.
    (credentials / "password").write_text(PASSWORD + "\n")
    until("it is online", lambda: online(upstream))
    assert "not changed" in site.agent.command("reload").stdout
    log = site.agent.log()
    assert PASSWORD not in log and "wrong-password" not in log
    assert not any(PASSWORD.encode() in file.read_bytes() for file in (site.folder / "state").iterdir() if file.is_file())


def test_a_broker_without_tls_and_a_missing_file_are_told(site):
    secured = Secured(site)
    site.uplink_port = secured.plain
    secured.configure()
    site.agent.start()
    secured.until_refused("8883 is usual for TLS")
    site.agent.stop()
    (secured.ours / "gateway.key").unlink()
    done = site.agent.process_once()
    assert done.returncode != 0
    assert "the TLS files of [uplink]" in done.stderr and "gateway.key" in done.stderr, done.stderr
