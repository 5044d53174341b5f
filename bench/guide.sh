#!/usr/bin/env bash
# The eleven steps of the guide as a shell script. It runs on the laptop and needs $KUBECTL, openssl and $PYTHON.
# The benchmark itself logs in and pushes (step 10), for all its methods in the same way.
set -euo pipefail

kubectl() { "$KUBECTL" "$@"; }

name=docker-registry
address=192.168.56.10
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# 1. Namespace
kubectl create namespace $name

# 2. Self-signed certificate with SAN
openssl req -x509 -newkey rsa:4096 -nodes -sha256 -days 356 \
    -subj "/C=FR/ST=Alpes Maritimes/L=Nice/O=SINGLETON/OU=R&D/CN=$name" \
    -addext "subjectAltName=DNS:$name,DNS:$name.$name,DNS:$name.$name.svc,IP:$address" \
    -keyout "$work/tls.key" -out "$work/tls.crt" 2> "$work/openssl.log" || { cat "$work/openssl.log" >&2; exit 1; }

# 3. TLS secret
kubectl create secret tls cert-secret --namespace $name --cert "$work/tls.crt" --key "$work/tls.key"

# 4. htpasswd secret. The guide's `htpasswd -Bbn centos centos` uses bcrypt with cost 5 too, but needs another package.
"$PYTHON" -c 'import bcrypt; print("centos:" + bcrypt.hashpw(b"centos", bcrypt.gensalt(5)).decode())' \
    > "$work/registry.password"
kubectl create secret generic auth-secret --namespace $name --from-file "$work/registry.password"

# 5. Volume and claim
kubectl apply --filename - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: $name}
spec:
  capacity: {storage: 2Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /var/lib/docker-registry/repository, type: DirectoryOrCreate}
  persistentVolumeReclaimPolicy: Retain
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: repository, namespace: $name}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 2Gi}}
YAML

# 6. Node label
kubectl label node k8s-master run-docker-registry=true

# 7. Pod. The image is that of `pulumi up` instead of the guide's registry:2.7, so that both run the same program.
kubectl apply --filename - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $name, namespace: $name, labels: {app: $name}}
spec:
  nodeSelector: {run-docker-registry: "true"}
  tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}]
  containers:
    - name: registry
      image: registry:3.1.2
      env:
        - {name: REGISTRY_AUTH, value: htpasswd}
        - {name: REGISTRY_AUTH_HTPASSWD_REALM, value: Registry Realm}
        - {name: REGISTRY_AUTH_HTPASSWD_PATH, value: /auth/registry.password}
        - {name: REGISTRY_HTTP_TLS_CERTIFICATE, value: /certs/tls.crt}
        - {name: REGISTRY_HTTP_TLS_KEY, value: /certs/tls.key}
      volumeMounts:
        - {name: repository, mountPath: /var/lib/registry}
        - {name: certificate, mountPath: /certs, readOnly: true}
        - {name: users, mountPath: /auth, readOnly: true}
  volumes:
    - {name: repository, persistentVolumeClaim: {claimName: repository}}
    - {name: certificate, secret: {secretName: cert-secret}}
    - {name: users, secret: {secretName: auth-secret}}
YAML

# 8. Service, and wait for the Pod
kubectl apply --filename - <<YAML
apiVersion: v1
kind: Service
metadata: {name: $name, namespace: $name}
spec:
  selector: {app: $name}
  ports: [{port: 5000, targetPort: 5000}]
  externalIPs: [$address]
YAML
kubectl wait --for condition=Ready --timeout 60s --namespace $name pod/$name

# 9. First login, without the CA. Omitted, because it only shows an error.

# 10. Second login, with the CA in the folder of the Docker engine. The benchmark logs in and pushes.
install -D --mode 644 "$work/tls.crt" /etc/docker/certs.d/$name:5000/ca.crt

# 11. Catalog. Omitted, because it follows the push.
