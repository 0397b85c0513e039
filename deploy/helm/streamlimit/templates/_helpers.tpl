{{- define "streamlimit.name" -}}
{{ if contains "streamlimit" .Release.Name }}{{ .Release.Name }}{{ else }}{{ printf "%s-streamlimit" .Release.Name }}{{ end }}
{{- end }}

{{- define "streamlimit.labels" -}}
app.kubernetes.io/name: streamlimit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "streamlimit.secret" -}}
{{ .Values.existingSecret | default (include "streamlimit.name" .) }}
{{- end }}

{{- define "streamlimit.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef: {name: {{ include "streamlimit.name" . }}}
  - secretRef: {name: {{ include "streamlimit.secret" . }}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
