// A training in Go that speaks Rung's protocol by itself: GET /observations, the termination message, SIGTERM.
// It prints nothing. Build and run: go build train.go && ./train -x 0.2 -epochs 9 -sleep 100ms
package main

import (
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

type observation struct {
	N      int                `json:"n"`
	Step   int                `json:"step"`
	Time   float64            `json:"time"`
	Values map[string]float64 `json:"values"`
}

var (
	mutex        sync.Mutex
	said         []observation
	acknowledged int
	done         bool
)

// observations answers with what was said since=N, which acknowledges all that is below N.
func observations(reply http.ResponseWriter, request *http.Request) {
	since, _ := strconv.Atoi(request.URL.Query().Get("since"))
	mutex.Lock()
	defer mutex.Unlock()
	since = max(0, min(since, len(said)))
	acknowledged = max(acknowledged, since)
	end := min(since+1000, len(said))
	attempt, _ := strconv.Atoi(os.Getenv("RUNG_ATTEMPT"))
	reply.Header().Set("Content-Type", "application/json")
	json.NewEncoder(reply).Encode(map[string]any{
		"trial": os.Getenv("RUNG_TRIAL"), "attempt": attempt,
		"next": end, "observations": append([]observation{}, said[since:end]...), "done": done,
	})
}

// lastWord writes what nobody has fetched, and the last observation in any case.
func lastWord() {
	mutex.Lock()
	defer mutex.Unlock()
	done = true
	rows := [][2]any{}
	for _, seen := range said[min(acknowledged, max(0, len(said)-1)):] {
		rows = append(rows, [2]any{seen.Step, seen.Values})
	}
	rows = rows[max(0, len(rows)-40):] // well below the 4,096 bytes that the kubelet keeps
	words, _ := json.Marshal(map[string]any{"observations": rows})
	path := os.Getenv("RUNG_TERMINATION_LOG")
	if path == "" {
		path = "/dev/termination-log"
	}
	os.WriteFile(path, words, 0o644)
}

func main() {
	x := flag.Float64("x", 0.5, "the parameter")
	epochs := flag.Int("epochs", 9, "how many")
	sleep := flag.Duration("sleep", 0, "per epoch")
	flag.Parse()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if port := os.Getenv("RUNG_METRICS_PORT"); port != "" {
		http.HandleFunc("/observations", observations)
		go http.ListenAndServe(net.JoinHostPort(os.Getenv("RUNG_METRICS_HOST"), port), nil)
	}
	defer lastWord()
	for epoch := 1; epoch <= *epochs; epoch++ {
		select {
		case <-stop:
			lastWord()
			os.Exit(143)
		case <-time.After(*sleep):
		}
		loss := (*x-0.3)*(*x-0.3) + 1/float64(epoch)
		now := float64(time.Now().UnixMicro()) / 1e6
		mutex.Lock()
		said = append(said, observation{len(said), epoch, now, map[string]float64{"val_loss": loss}})
		mutex.Unlock()
	}
}
