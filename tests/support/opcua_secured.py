"""An asyncua server with security: its certificate, its users, and whom it trusts."""

import datetime
import socket

from asyncua import Server, ua
from asyncua.crypto.cert_gen import dump_private_key_as_pem, generate_private_key
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.peers import InLoop, free_port

URI = "urn:riskgate:test:plant"
POLICIES = [
    policy
    for policy in ua.SecurityPolicyType
    if policy.name.startswith(("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"))
]
NAME, PASSWORD = "gateway", "open-sesame-4711"


class Certified:
    """A key and a certificate for it, in files; DER and PEM."""

    def __init__(self, folder, name, uri=URI, days=365):
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = folder / f"{name}.der", folder / f"{name}-key.pem"
        key = generate_private_key()
        names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(names, names, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - 30 * day).not_valid_after(now + days * day)
        alternative = [x509.UniformResourceIdentifier(uri), x509.DNSName(socket.gethostname())]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        names_of_use = "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        names_of_use += "key_cert_sign crl_sign encipher_only decipher_only"
        use = {use: at < 4 for at, use in enumerate(names_of_use.split())}
        builder = builder.add_extension(x509.KeyUsage(**use), critical=True)
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        signed = builder.sign(key, hashes.SHA256())
        self.certificate.write_bytes(signed.public_bytes(Encoding.DER))
        self.key.write_bytes(dump_private_key_as_pem(key))
        self.thumbprint = signed.fingerprint(hashes.SHA1()).hex()


class Users(UserManager):
    """One by name and password, one by certificate, and anonymous ones where they are let in."""

    def __init__(self, certificate, anonymous):
        self.certificate = certificate
        self.anonymous = anonymous

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username is not None:
            return User(role=UserRole.User) if (username, password) == (NAME, PASSWORD) else None
        if certificate is not None and self.certificate and certificate == self.certificate.certificate.read_bytes():
            return User(role=UserRole.User)
        return User(role=UserRole.User) if self.anonymous else None


class SecuredOpcUa(InLoop):
    """`TT-201` below `urn:riskgate:test`, behind every policy and mode of today."""

    def __init__(self, folder, bearer=None, anonymous=True, policies=POLICIES, trusting=True):
        super().__init__()
        self.folder = folder
        self.bearer = bearer
        self.anonymous = anonymous
        self.policies = policies
        self.trusted = folder / "trusted"
        self.trusted.mkdir(parents=True, exist_ok=True)
        # An empty store is an error to asyncua: some other client is always trusted.
        Certified(self.trusted, "another-client")
        (self.trusted / "another-client-key.pem").unlink()
        self.trust = None if trusting else TrustStore([self.trusted], [])
        self.port = free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}/secured"
        self.certified = Certified(folder, "plant")
        self.server = None
        self.open()

    def open(self, value=20.0):
        async def serve():
            server = Server(user_manager=Users(self.bearer, self.anonymous))
            await server.init()
            await server.set_application_uri(URI)
            server.set_endpoint(self.url)
            server.set_security_policy(self.policies)
            tokens = [ua.UserNameIdentityToken, ua.X509IdentityToken]
            server.set_identity_tokens(tokens + ([ua.AnonymousIdentityToken] if self.anonymous else []))
            await server.load_certificate(self.certified.certificate)
            await server.load_private_key(self.certified.key)
            if self.trust:
                await self.trust.load()
                options = CertificateValidatorOptions.TRUSTED_VALIDATION | CertificateValidatorOptions.PEER_CLIENT
                server.set_certificate_validator(CertificateValidator(options, self.trust))
            index = await server.register_namespace("urn:riskgate:test")
            await server.nodes.objects.add_variable(ua.NodeId("TT-201", index), "TT-201", value)
            await server.start()
            self.server = server

        self.call(serve())

    def shut(self):
        async def stop():
            # Its own stop closes them politely and then waits for a client that may not answer.
            for transport in list(self.server.iserver.asyncio_transports):
                transport.abort()
            await self.server.stop()

        self.call(stop())

    def renew(self):
        """As a server that was given another certificate and started anew."""
        self.shut()
        self.certified = Certified(self.folder, "plant")

    def trust_file(self, path):
        """What a person does at the server."""
        (self.trusted / path.name).write_bytes(path.read_bytes())
        self.call(self.trust.load())

    def sessions(self):
        return len(self.server.iserver._external_sessions)

    def close(self):
        self.shut()
        self.end()
