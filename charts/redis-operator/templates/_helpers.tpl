{{- define "redis-operator.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | replace "." "-") $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "redis-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "redis-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "redis-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "redis-operator.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "redis-operator.fullname" .) -}}
{{- end -}}

{{- define "redis-operator.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- $image.repository -}}{{- with $image.tag -}}:{{ . }}{{- end -}}@{{ $image.digest }}
{{- else -}}
{{- $image.repository -}}:{{- $image.tag | default .Chart.AppVersion -}}
{{- end -}}
{{- end -}}

{{/* The watched namespaces as a JSON list; empty is all. */}}
{{- define "redis-operator.watched" -}}
{{- without .Values.watchNamespaces "*" | toJson -}}
{{- end -}}

{{/* Bytes of a Kubernetes quantity, cut to whole ones; what is no quantity is left to the apiserver (-1). */}}
{{- define "redis-operator.bytes" -}}
{{- $text := . | toString -}}
{{- $units := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- if regexMatch "^[0-9]+([.][0-9]*)?([eE][+]?[0-9]+)?$" $text -}}
{{- $text | float64 | printf "%.0f" -}}
{{- else if regexMatch "^[0-9]+([.][0-9]*)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)$" $text -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- mulf (float64 $number) (index $units (trimPrefix $number $text)) | printf "%.0f" -}}
{{- else -}}
-1
{{- end -}}
{{- end -}}

{{/* "true" if the container's security context is weaker than Pod Security "restricted". */}}
{{- define "redis-operator.weakened" -}}
{{- $c := .Values.securityContext -}}
{{- $drop := dig "capabilities" "drop" list $c -}}
{{- $added := without (dig "capabilities" "add" list $c) "NET_BIND_SERVICE" -}}
{{- if or (not $c.runAsNonRoot) (and (hasKey $c "runAsUser") (eq (int64 $c.runAsUser) 0)) $c.privileged $c.allowPrivilegeEscalation (not (has "ALL" $drop)) $added (not (has (dig "seccompProfile" "type" "" $c) (list "RuntimeDefault" "Localhost"))) -}}
true
{{- end -}}
{{- end -}}

{{/* What the schema can not say. Each text names the value and what to do. */}}
{{- define "redis-operator.validate" -}}
{{- $v := .Values -}}
{{- if not $v.leaderElection -}}
{{- if gt (int $v.replicas) 1 -}}
{{- fail "leaderElection must be on when replicas > 1" -}}
{{- end -}}
{{- fail "leaderElection must be on: a rolling update runs two operators for a moment; leave it out" -}}
{{- end -}}
{{- if and (has "*" $v.watchNamespaces) (gt (len $v.watchNamespaces) 1) -}}
{{- fail "watchNamespaces has \"*\" beside other names: give [\"*\"] or [] for all namespaces, or names only" -}}
{{- end -}}
{{- if eq $v.rbac.scope "namespace" -}}
{{- if has "*" $v.watchNamespaces -}}
{{- fail "watchNamespaces [\"*\"] needs rbac.scope: cluster; with rbac.scope: namespace name each namespace" -}}
{{- end -}}
{{- if not $v.watchNamespaces -}}
{{- fail "rbac.scope: namespace needs watchNamespaces: name each namespace, or use rbac.scope: cluster" -}}
{{- end -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false: give serviceAccount.name, the account the operator is to use" -}}
{{- end -}}
{{- $memory := dig "limits" "memory" "" $v.resources -}}
{{- if $memory | toString -}}
{{- $bytes := include "redis-operator.bytes" $memory | int64 -}}
{{- if and (ge $bytes (int64 0)) (lt $bytes (int64 67108864)) -}}
{{- fail (printf "resources.limits.memory %v is below 64Mi; a number without a unit is bytes" $memory) -}}
{{- end -}}
{{- end -}}
{{- if and (include "redis-operator.weakened" .) (not $v.unsafe.allowPrivileged) -}}
{{- fail "securityContext is weaker than Pod Security \"restricted\" (runAsNonRoot, no privileges, all capabilities dropped, seccomp on): restore it, or set unsafe.allowPrivileged=true" -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor.enabled (not $v.metrics.service.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled needs metrics.service.enabled: true" -}}
{{- end -}}
{{- end -}}

{{/* Rules in every watched namespace. What each is for is in SECURITY.md; a test compares the two. */}}
{{- define "redis-operator.rules" -}}
- apiGroups: [redisreplicaset.dev]
  resources: [redisreplicasets]
  verbs: [get, list, watch]
- apiGroups: [redisreplicaset.dev]
  resources: [redisreplicasets/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch, delete]
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "redis-operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "redis-operator.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
