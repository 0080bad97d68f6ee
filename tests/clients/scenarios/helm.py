"""helm: charts as OCI artifacts."""

import http.server
import json
import threading

import content

TOOLS = ("helm",)
CANNOT = dict.fromkeys(
    ("hundred", "empty", "index", "big", "artifact"),
    "it moves charts only, of one layer each",
)
PLAIN = "--plain-http"
CHART = f"{content.DEEP}/sail"
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"


def play(stage):
    at = stage.address
    stage.heading("Package, push, pull")
    stage.run("helm", "create", "sail")
    stage.run("helm", "package", "sail", "--version", "1.0.0")
    ran = stage.run("helm", "push", PLAIN, "sail-1.0.0.tgz", f"oci://{at}/{content.DEEP}")
    stage.expect("blobs sent", ran.blobs_sent(), 2)
    first = stage.digest(CHART, "1.0.0")
    stage.expect_in("digest", first, ran.stdout + ran.stderr)
    manifest = stage.registry.manifest(CHART, "1.0.0").json()
    stage.expect("config", manifest["config"]["mediaType"], CHART_CONFIG)
    again = stage.run("helm", "push", PLAIN, "sail-1.0.0.tgz", f"oci://{at}/{content.DEEP}")
    stage.expect_no_layer_sent(again)
    # helm does not make the folder.
    (stage.folder / "pulled").mkdir()
    stage.run("helm", "pull", PLAIN, f"oci://{at}/{CHART}", "--version", "1.0.0", "-d", "pulled")
    pulled = (stage.folder / "pulled" / "sail-1.0.0.tgz").read_bytes()
    stage.expect("pulled", content.sha256(pulled), manifest["layers"][0]["digest"])
    stage.moved.add("deep")

    stage.heading("Another chart under the same version")
    (stage.folder / "sail" / "NOTES.md").write_text("changed")
    stage.run("helm", "package", "sail", "--version", "1.0.0")
    stage.run("helm", "push", PLAIN, "sail-1.0.0.tgz", f"oci://{at}/{content.DEEP}")
    stage.expect("the tag moved", stage.digest(CHART, "1.0.0") == first, False)
    stage.expect("old digest", stage.digest(CHART, first), first)

    stage.heading("The newest version is found by the list of tags")
    stage.run("helm", "package", "sail", "--version", "1.1.0")
    stage.run("helm", "push", PLAIN, "sail-1.1.0.tgz", f"oci://{at}/{content.DEEP}")
    stage.expect_tags(CHART, "1.0.0", "1.1.0")
    ran = stage.run("helm", "show", "chart", PLAIN, f"oci://{at}/{CHART}")
    stage.expect_in("newest", "version: 1.1.0", ran.stdout)

    stage.heading("Install, as a dry run")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubernetes) as kubernetes:
        threading.Thread(target=kubernetes.serve_forever, daemon=True).start()
        hidden = ("--kube-apiserver", f"http://127.0.0.1:{kubernetes.server_port}", "--disable-openapi-validation")
        stage.hide(*hidden)
        ran = stage.run(
            "helm", "install", "mine", PLAIN, f"oci://{at}/{CHART}", "--version", "1.0.0",
            "--dry-run=client", *hidden,
        )  # fmt: skip
        kubernetes.shutdown()
    stage.expect_in("rendered", "kind: Deployment", ran.stdout)

    # helm has no command that deletes; what it pushed can be deleted all the same.
    digest = stage.digest(CHART, "1.1.0")
    status, _, _ = stage.registry.ask("DELETE", f"/v2/{CHART}/manifests/{digest}")
    stage.expect("delete", status, 202)
    stage.expect_tags(CHART, "1.0.0")


def resources(group, **kinds):
    listed = [
        {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get"]}
        for name, kind in kinds.items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": listed}


class Kubernetes(http.server.BaseHTTPRequestHandler):
    """As much of Kubernetes as a dry run of `helm install` asks for: its version and its kinds."""

    APPS = {"groupVersion": "apps/v1", "version": "v1"}
    ANSWERS = {
        "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": resources("v1", services="Service", serviceaccounts="ServiceAccount", pods="Pod"),
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [{"name": "apps", "versions": [APPS], "preferredVersion": APPS}],
        },
        "/apis/apps/v1": resources("apps/v1", deployments="Deployment"),
    }

    def do_GET(self):
        missing = {"kind": "Status", "status": "Failure", "code": 404}
        answer = self.ANSWERS.get(self.path.partition("?")[0])
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer or missing).encode())

    def log_message(self, *_):
        """Nothing is logged."""
