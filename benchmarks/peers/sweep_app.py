"""The trials of `benchmarks/sweep.py` as an application of plain Hydra, for any of its launchers: `-m`.

The config tree, what resolves it, the training function and its run folder are ours; planning and processes are
Hydra's. Like such applications, it imports nothing heavy before a job needs it.
"""

from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from duogen import resolvers
from duogen.conftree import conf_dir
from duogen.experiment.provenance import software


def main() -> None:
    code = software()  # once for all trials, as in a sweep of ours

    def task(config: DictConfig) -> int:
        from duogen.experiment import trial
        from duogen.experiment.resolve import resolve

        resolvers.register()
        plain: Any = OmegaConf.to_container(config, resolve=True)
        folder = Path(HydraConfig.get().runtime.output_dir)
        return trial.run(trial.Plan(resolve(plain, "benchmark", []), folder, code=code))

    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(task)()


if __name__ == "__main__":
    resolvers.register()
    main()
