{{/* The name of every object of one account: `release-account`. */}}
{{- define "profound-export.name" -}}
{{- $name := printf "%s-%s" .root.Release.Name .account.name -}}
{{- if gt (len $name) 52 }}{{ fail (printf "`%s` is longer than the 52 characters that Kubernetes allows a CronJob: shorten the release or the account" $name) }}{{ end -}}
{{- $name -}}
{{- end -}}

{{- define "profound-export.selector" -}}
app.kubernetes.io/name: profound-export
app.kubernetes.io/instance: {{ .root.Release.Name }}
profound-export/account: {{ .account.name }}
{{- end -}}

{{- define "profound-export.labels" -}}
{{ include "profound-export.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "profound-export.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "profound-export.serviceAccountName" -}}
{{- if .root.Values.serviceAccount.create -}}
{{ include "profound-export.name" . }}
{{- else -}}
{{ .root.Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "profound-export.schedule" -}}{{ .account.schedule | default .root.Values.schedule }}{{- end -}}
{{- define "profound-export.timeZone" -}}{{ .account.timeZone | default .root.Values.timeZone }}{{- end -}}

{{/* Rejects nested or equal roots, which would be one lake with two owners, and shared keys, whose rate limit two processes
     would spend twice. */}}
{{- define "profound-export.checked" -}}
{{- if not .Values.accounts }}{{ fail "accounts is empty: give one entry for each API key, with name, destination.url and keySecret.name" }}{{ end -}}
{{- if and (ne .Values.mode "daemon") (or .Values.serviceMonitor.enabled .Values.prometheusRule.enabled) -}}
{{- fail "serviceMonitor and prometheusRule need mode: daemon, because a CronJob serves no /metrics between runs" -}}
{{- end -}}
{{- $names := dict -}}
{{- $urls := list -}}
{{- $keys := dict -}}
{{- range $account := .Values.accounts -}}
{{- if hasKey $names $account.name }}{{ fail (printf "accounts: two are called `%s`" $account.name) }}{{ end -}}
{{- $_ := set $names $account.name true -}}
{{- $url := printf "%s/" (trimSuffix "/" $account.destination.url) -}}
{{- range $other := $urls -}}
{{- if or (hasPrefix $other.url $url) (hasPrefix $url $other.url) -}}
{{- fail (printf "accounts: `%s` and `%s` write to the same place (%s): give each a prefix of its own, neither below the other" $other.name $account.name $account.destination.url) -}}
{{- end -}}
{{- end -}}
{{- $urls = append $urls (dict "name" $account.name "url" $url) -}}
{{- $key := printf "%s/%s" $account.keySecret.name ($account.keySecret.key | default "api-key") -}}
{{- if hasKey $keys $key }}{{ fail (printf "accounts: `%s` and `%s` share a key (%s), and one process must own a key's rate limit" (get $keys $key) $account.name $key) }}{{ end -}}
{{- $_ := set $keys $key $account.name -}}
{{- end -}}
{{- end -}}

{{/* jobs.toml of one account. A CronJob starts the run, so `cron` only says when the next one comes: its deadline. */}}
{{- define "profound-export.config" -}}
{{- $root := .root -}}
{{- $config := mergeOverwrite (deepCopy $root.Values.config) (deepCopy (.account.config | default dict)) -}}
{{- $schedule := include "profound-export.schedule" . -}}
{{- $timeZone := include "profound-export.timeZone" . -}}
{{- range $job := $config.job -}}
{{- if and (eq $root.Values.mode "cronjob") $job.cron (ne $job.cron $schedule) -}}
{{- fail (printf "config: job `%s` has a cron of its own (%s), but in mode cronjob `schedule` starts every job; use mode: daemon, or an account's own schedule" $job.name $job.cron) -}}
{{- end -}}
{{- if not $job.cron -}}
{{- $_ := set $job "cron" $schedule -}}
{{- $_ := set $job "timezone" $timeZone -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "destination" (dict "url" .account.destination.url "options" (.account.destination.options | default dict)) -}}
{{- $_ := set $config "spool" (dict "dir" "/spool" "max_bytes" (printf "%vGiB" $root.Values.spool.gibibytes)) -}}
{{- if $root.Values.ca.configMap -}}
{{- $_ := set $config "api" (mergeOverwrite ($config.api | default dict) (dict "ca_file" (printf "/etc/profound-export-ca/%s" $root.Values.ca.key))) -}}
{{- end -}}
{{- /* Helm holds every number as a float; the program has none. */ -}}
{{- regexReplaceAll "(?m)^(\\s*[A-Za-z0-9_]+ = -?[0-9]+)\\.0$" (toToml $config) "${1}" | trim -}}
{{- end -}}

{{/* The pod of one account; `args` are the program's, `daemon` says whether it listens. */}}
{{- define "profound-export.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "profound-export.serviceAccountName" . }}
# The program never uses the Kubernetes API.
automountServiceAccountToken: false
# Variables named after other services are not the program's settings.
enableServiceLinks: false
# SIGTERM: slices in progress are discarded within 30 seconds.
terminationGracePeriodSeconds: 45
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # Lets only the user above read the key.
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with $values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
containers:
  - name: profound-export
    image: {{ include "profound-export.image" .root | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args: {{- toYaml .args | nindent 6 }}
    env:
      - name: PROFOUND_EXPORT_CONFIG
        value: /etc/profound-export/jobs.toml
      - name: PROFOUND_API_KEY_FILE
        value: /run/secrets/profound-export/{{ .account.keySecret.key | default "api-key" }}
      {{- if .daemon }}
      - name: PROFOUND_EXPORT_SERVER__LISTEN
        value: "0.0.0.0:{{ $values.daemon.port }}"
      {{- end }}
      {{- with $values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .account.envSecrets }}
    envFrom:
      {{- range . }}
      - secretRef:
          name: {{ . }}
      {{- end }}
    {{- end }}
    {{- if .daemon }}
    ports:
      - name: metrics
        containerPort: {{ $values.daemon.port }}
    livenessProbe:
      httpGet:
        path: /livez
        port: metrics
      periodSeconds: 20
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet:
        path: /readyz
        port: metrics
      periodSeconds: 20
      timeoutSeconds: 5
    {{- end }}
    resources: {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    volumeMounts:
      - name: config
        mountPath: /etc/profound-export
        readOnly: true
      # The whole directory, not one file by subPath, which Kubernetes would not update with a new key.
      - name: key
        mountPath: /run/secrets/profound-export
        readOnly: true
      - name: spool
        mountPath: /spool
      {{- if $values.ca.configMap }}
      - name: ca
        mountPath: /etc/profound-export-ca
        readOnly: true
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "profound-export.name" . }}
  - name: key
    secret:
      secretName: {{ .account.keySecret.name }}
      defaultMode: 0440
  # On the node's disk. Above the spool's max_bytes, so that the program waits before the node evicts it.
  - name: spool
    emptyDir:
      sizeLimit: {{ printf "%dGi" (add1 (int $values.spool.gibibytes)) }}
  {{- if $values.ca.configMap }}
  - name: ca
    configMap:
      name: {{ $values.ca.configMap }}
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
