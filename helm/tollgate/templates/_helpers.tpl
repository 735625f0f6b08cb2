{{- define "tollgate.name" -}}
{{- default "tollgate" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "tollgate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "tollgate.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tollgate.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tollgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tollgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tollgate.labels" -}}
{{ include "tollgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | quote }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "tollgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tollgate.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* What would start and then refuse every call, or quietly multiply the budgets, is refused here. */}}
{{- define "tollgate.check" -}}
{{- if not (trim .Values.config) }}
{{- fail "config is empty: give it [[principals]] and [[profiles]], see config/minimal.toml" }}
{{- end }}
{{- if not (or .Values.keys.existingSecret .Values.server.principal .Values.identity (include "tollgate.sharedStore" .)) }}
{{- fail "nobody could call: keys.existingSecret is empty, and there is neither identity nor server.principal nor a store that replicas share, in which keys could be. Make a keys file with `tollgate key create --keys-file keys.json --principal NAME` and put it into a Secret" }}
{{- end }}
{{- if and .Values.server.principal (ne .Values.mode "sidecar") }}
{{- fail "server.principal is for a sidecar: a gateway's listener is open to others, and everybody would be that principal" }}
{{- end }}
{{- if regexMatch "(?m)^[ \\t]*\\[[ \\t]*[\"']?(server|admin|identity)[\"']?[ \\t]*[\\].]" .Values.config }}
{{- fail "config has [server], [admin] or [identity]: the chart writes these itself, from the values server, admin, keys and identity" }}
{{- end }}
{{- if eq (int .Values.server.port) (int .Values.admin.port) }}
{{- fail "server.port and admin.port are the same" }}
{{- end }}
{{- if and (eq .Values.mode "gateway") (gt (int .Values.replicas) 1) (not .Values.acceptBudgetsPerReplica) (not (include "tollgate.sharedStore" .)) (regexMatch "(?m)^[ \\t]*\\[\\[[ \\t]*[\"']?budgets" .Values.config) }}
{{- fail "replicas is above 1 and there are [[budgets]]: each replica counts for itself, so every limit is multiplied. Let them share a store ([store] kind = \"redis\"), or set acceptBudgetsPerReplica: true if that is meant" }}
{{- end }}
{{- end }}

{{/* Not empty where the configuration has a store that replicas share. */}}
{{- define "tollgate.sharedStore" -}}
{{- if regexMatch "(?m)^[ \\t]*kind[ \\t]*=[ \\t]*[\"']redis[\"']" .Values.config }}yes{{ end }}
{{- end }}

{{/* The configuration file. A sidecar listens for its own pod alone; its admin port must be open to the kubelet's probes. */}}
{{- define "tollgate.toml" -}}
[server]
listen = {{ printf "%s:%d" (ternary "127.0.0.1" "0.0.0.0" (eq .Values.mode "sidecar")) (int .Values.server.port) | quote }}
{{- with .Values.server.principal }}
principal = {{ . | quote }}
{{- end }}
base_path = {{ .Values.server.basePath | quote }}
max_body_bytes = {{ int .Values.server.maxBodyBytes }}
drain_timeout = {{ printf "%ds" (int .Values.server.drainTimeoutSeconds) | quote }}
max_connections = {{ int .Values.server.maxConnections }}
{{- if .Values.server.tls.existingSecret }}

[server.tls]
certificate = "/etc/tollgate/tls/tls.crt"
key = "/etc/tollgate/tls/tls.key"
{{- end }}

[admin]
listen = {{ printf "0.0.0.0:%d" (int .Values.admin.port) | quote }}
{{- with .Values.admin.tokenFile }}
token_file = {{ . | quote }}
{{- end }}

[identity]
{{- if .Values.keys.existingSecret }}
keys_file = {{ printf "/etc/tollgate/keys/%s" .Values.keys.key | quote }}
{{- end }}
{{- with trim .Values.identity }}
{{ . }}
{{- end }}

{{- if not (contains "[store]" .Values.config) }}

[store]
path = "/var/lib/tollgate/tollgate.db"
{{- end }}

{{ trim .Values.config }}
{{ end }}

{{/* Twice the drain timeout (streams, then answers of callers who left), the sleep before it, and some. */}}
{{- define "tollgate.gracePeriodSeconds" -}}
{{- add (mul 2 (int .Values.server.drainTimeoutSeconds)) (int .Values.preStopSleepSeconds) 10 }}
{{- end }}

{{- define "tollgate.container" -}}
name: tollgate
image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/tollgate/config/tollgate.toml]
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: bedrock
    containerPort: {{ int .Values.server.port }}
  - name: admin
    containerPort: {{ int .Values.admin.port }}
startupProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 1
  failureThreshold: 30
livenessProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: admin }
  periodSeconds: 5
{{- if gt (int .Values.preStopSleepSeconds) 0 }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ int .Values.preStopSleepSeconds }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  capabilities: { drop: [ALL] }
  seccompProfile: { type: RuntimeDefault }
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - { name: tollgate-config, mountPath: /etc/tollgate/config, readOnly: true }
{{- if .Values.keys.existingSecret }}
  - { name: tollgate-keys, mountPath: /etc/tollgate/keys, readOnly: true }
{{- end }}
  - { name: tollgate-store, mountPath: /var/lib/tollgate }
{{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.server.tls.existingSecret }}
  - { name: tollgate-tls, mountPath: /etc/tollgate/tls, readOnly: true }
{{- end }}
{{- end }}

{{/* Whole directories and no subPath: the kubelet updates only those. */}}
{{- define "tollgate.volumes" -}}
- name: tollgate-config
  configMap:
    name: {{ include "tollgate.fullname" . }}
{{- if .Values.keys.existingSecret }}
- name: tollgate-keys
  secret:
    secretName: {{ .Values.keys.existingSecret }}
{{- end }}
- name: tollgate-store
{{- if .Values.store.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .Values.store.existingClaim }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- if .Values.server.tls.existingSecret }}
- name: tollgate-tls
  secret:
    secretName: {{ .Values.server.tls.existingSecret }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
For the charts of applications. Each is given the sidecar's values and the release:
  (dict "Values" .Values.tollgate "Release" .Release)
*/}}
{{- define "tollgate.sidecar.container" -}}
{{- if .Values.sidecar.native -}}
restartPolicy: Always
{{ end -}}
{{ include "tollgate.container" . }}
{{- end }}

{{- define "tollgate.sidecar.volumes" -}}
{{ include "tollgate.volumes" . }}
{{- end }}

{{/* Changes with the configuration, so that the pods are rolled: there is no reload of it yet. */}}
{{- define "tollgate.sidecar.annotations" -}}
checksum/tollgate: {{ include "tollgate.toml" . | sha256sum }}
{{- end }}

{{/* What an AWS client in the application's container needs to find the sidecar; its key comes from a Secret of yours. */}}
{{- define "tollgate.sidecar.env" -}}
- name: AWS_ENDPOINT_URL_BEDROCK_RUNTIME
  value: {{ printf "%s://localhost:%d%s" (ternary "https" "http" (not (empty .Values.server.tls.existingSecret))) (int .Values.server.port) (trimSuffix "/" .Values.server.basePath) | quote }}
{{- end }}
