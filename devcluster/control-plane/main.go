// The whole Kubernetes control plane as one program, for development clusters on one machine.
//
// The part to run is picked by the name under which the program was started (a symbolic link, say) or else by its
// first argument: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, or certificates, which makes
// the cluster's keys. Everything comes from the modules in go.mod, so a machine that reaches a Go module proxy needs no
// other download and no container engine.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/component-base/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// parts are the programs in this one, each by the name that its own release gives it.
var parts = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          func() { run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { run(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() { run(scheduler.NewSchedulerCommand()) },
	"kubectl":                 runKubectl,
	"certificates":            writeCertificates,
}

// usage is printed when neither the name nor the first argument picks a part.
const usage = `usage: %s etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl|certificates [arguments]
Kubernetes %s. A link to this program with one of these names runs that part.
`

func main() {
	if start, found := parts[filepath.Base(os.Args[0])]; found {
		start()
		return
	}
	if len(os.Args) > 1 {
		if start, found := parts[os.Args[1]]; found {
			os.Args = os.Args[1:]
			start()
			return
		}
	}
	fmt.Fprintf(os.Stderr, usage, filepath.Base(os.Args[0]), version.Get().GitVersion)
	os.Exit(2)
}

// run hands the process over to one of Kubernetes' server commands and exits with its code.
func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

// runKubectl prints errors the way kubectl does, which differs from the servers' way.
func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
