{{- define "rung.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "rung.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "rung.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rung.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rung.selector" -}}
app.kubernetes.io/name: {{ include "rung.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "rung.labels" -}}
{{ include "rung.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "rung.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "rung.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* The namespaces to watch, as a JSON list; an empty one means all. */}}
{{- define "rung.namespaces" -}}
{{- if .Values.namespaced -}}
{{- list .Release.Namespace | toJson -}}
{{- else -}}
{{- .Values.watchNamespaces | default list | toJson -}}
{{- end -}}
{{- end -}}

{{/* What the operator may do with studies and all that belongs to them. Nothing else: no secrets, no nodes, no pods of its own. */}}
{{- define "rung.rules" -}}
- apiGroups: [rung.dev]
  resources: [studies]
  # delete is for spec.ttlSecondsAfterFinished
  verbs: [get, list, watch, delete]
- apiGroups: [rung.dev]
  resources: [trials]
  verbs: [get, list, watch, create]
- apiGroups: [rung.dev]
  resources: [studies/status, trials/status]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  # patch is for spec.suspend
  verbs: [get, list, create, delete, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  # list is for FailedCreate, the only place where the Job controller says why it could not make a pod
  verbs: [create, patch, list]
{{- end -}}
