"""The sandbox's kubeconfig: made once, kept as the learner changes it, pointed at the port in use."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

from labrunner.sandbox.kube.pki import Certificates, write_private

_SERVER = re.compile(r"(?m)^(\s*server:\s*)\S+$")


def write(path: Path, certificates: Certificates, name: str, server: str) -> None:
    """Point an existing kubeconfig of this CA at `server` (a URL), or write a new one. Mode 0600."""
    ca = base64.b64encode(certificates.ca.read_bytes()).decode()
    if path.exists():
        text = path.read_text()
        if ca in text:
            pointed = _SERVER.sub(rf"\g<1>{server}", text)
            if pointed != text:
                write_private(path, pointed.encode())
            else:
                os.chmod(path, 0o600)
            return
    cert = base64.b64encode(certificates.admin.read_bytes()).decode()
    key = base64.b64encode(certificates.admin_key.read_bytes()).decode()
    context = f"labrunner-{name}"
    write_private(path, _TEMPLATE.format(ca=ca, cert=cert, key=key, context=context, server=server).encode())


_TEMPLATE = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {ca}
    server: {server}
  name: {context}
contexts:
- context:
    cluster: {context}
    namespace: default
    user: kubernetes-admin
  name: {context}
current-context: {context}
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate-data: {cert}
    client-key-data: {key}
"""
